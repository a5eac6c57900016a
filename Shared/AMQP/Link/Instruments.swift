import Metrics

/// The module's metrics. Names and labels are documented in `deploy/docs/amqp-module.md`.
struct Instruments: Sendable {
    let connected: Gauge
    let blocked: Gauge
    let connects: Counter
    let losses: Counter

    init(connection name: String) {
        let labels = [("connection", name)]
        connected = Gauge(label: "amqp_connected", dimensions: labels)
        blocked = Gauge(label: "amqp_blocked", dimensions: labels)
        connects = Counter(label: "amqp_connects_total", dimensions: labels)
        losses = Counter(label: "amqp_connection_losses_total", dimensions: labels)
    }

    func show(_ state: ConnectionState) {
        connected.record(state.isConnected ? 1 : 0)
        blocked.record(state.isBlocked ? 1 : 0)
    }
}

struct PublishInstruments: Sendable {
    let confirmed: Counter
    let refused: Counter
    let unknown: Counter
    let unconfirmed: Gauge
    let confirmTime: Timer

    init(connection name: String) {
        func outcome(_ value: String) -> Counter {
            Counter(label: "amqp_publishes_total", dimensions: [("connection", name), ("outcome", value)])
        }
        confirmed = outcome("confirmed")
        refused = outcome("refused")
        unknown = outcome("unknown")
        unconfirmed = Gauge(label: "amqp_unconfirmed", dimensions: [("connection", name)])
        confirmTime = Timer(label: "amqp_publish_seconds", dimensions: [("connection", name)])
    }

    func count(_ outcome: PublishOutcome) {
        switch outcome {
        case .confirmed: confirmed.increment()
        case .refused: refused.increment()
        case .unknown: unknown.increment()
        }
    }
}

struct ConsumeInstruments: Sendable {
    let deliveries: Counter
    let redeliveries: Counter
    let acknowledged: Counter
    let returned: Counter
    let attached: Gauge
    let meant: Gauge
    let rebuilds: Counter

    init(connection name: String, queue: String) {
        let labels = [("connection", name), ("queue", queue)]
        deliveries = Counter(label: "amqp_deliveries_total", dimensions: labels)
        redeliveries = Counter(label: "amqp_redeliveries_total", dimensions: labels)
        acknowledged = Counter(label: "amqp_acknowledged_total", dimensions: labels)
        returned = Counter(label: "amqp_returned_total", dimensions: labels)
        attached = Gauge(label: "amqp_consumers_attached", dimensions: labels)
        meant = Gauge(label: "amqp_consumers_meant", dimensions: labels)
        rebuilds = Counter(label: "amqp_consumer_rebuilds_total", dimensions: labels)
    }
}
