import Metrics

/// What a client counts. Labels are the client's name and the kind of connection, never a value.
struct PostgresMetrics: Sendable {
    let acquireShared: Timer
    let acquireExclusive: Timer
    let trips: Counter
    let errors: Counter
    let reruns: Counter
    let lost: Counter
    let connected: Gauge
    let waiting: Gauge

    init(client: String) {
        let dimensions = [("client", client)]
        acquireShared = Timer(label: "postgres_acquire_wait", dimensions: dimensions + [("kind", "shared")])
        acquireExclusive = Timer(label: "postgres_acquire_wait", dimensions: dimensions + [("kind", "exclusive")])
        trips = Counter(label: "postgres_trips", dimensions: dimensions)
        errors = Counter(label: "postgres_errors", dimensions: dimensions)
        reruns = Counter(label: "postgres_reruns", dimensions: dimensions)
        lost = Counter(label: "postgres_connections_lost", dimensions: dimensions)
        connected = Gauge(label: "postgres_connections", dimensions: dimensions)
        waiting = Gauge(label: "postgres_waiting", dimensions: dimensions)
    }
}

extension Duration {
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
