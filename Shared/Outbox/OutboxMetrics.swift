internal import Metrics
internal import Model

/// The numbers of one service's messaging, through swift-metrics. Handlers are made once: making one costs more than
/// counting.
struct OutboxMetrics: Sendable {
    private let confirmed: Counter
    private let refused: Counter
    private let unknown: Counter
    private let resent: Counter
    private let failures: Counter

    init(service: ServiceName, lane: Lane) {
        let labels = [("service", service.rawValue), ("lane", lane.rawValue)]
        func published(_ outcome: String) -> Counter {
            Counter(label: "sluice_outbox_published_total", dimensions: labels + [("outcome", outcome)])
        }
        confirmed = published("confirmed")
        refused = published("refused")
        unknown = published("unknown")
        resent = Counter(label: "sluice_outbox_resent_total", dimensions: labels)
        failures = Counter(label: "sluice_relay_failures_total", dimensions: labels)
    }

    func published(confirmed: Int, refused: Int, unknown: Int) {
        if confirmed > 0 { self.confirmed.increment(by: confirmed) }
        if refused > 0 { self.refused.increment(by: refused) }
        if unknown > 0 { self.unknown.increment(by: unknown) }
    }

    func resent(_ count: Int) { resent.increment(by: count) }
    func relayFailed() { failures.increment() }
}

/// The numbers of one consumer.
struct ConsumerMetrics: Sendable {
    /// Which of an emergency's two paths won, or where a routine message came from.
    enum Path: String, CaseIterable { case broker, outbox, retry }

    private let handled: [Path: Counter]
    private let duplicates: Counter
    private let parked: Counter
    private let dead: Counter
    private let givenUp: Counter
    private let conflicts: Counter
    private let deferred: Counter
    private let attached: Gauge
    private let meant: Gauge
    private let listening: Gauge

    init(consumer: String) {
        let labels = [("consumer", consumer)]
        handled = Dictionary(
            uniqueKeysWithValues: Path.allCases.map {
                ($0, Counter(label: "sluice_consumer_handled_total", dimensions: labels + [("path", $0.rawValue)]))
            })
        duplicates = Counter(label: "sluice_consumer_duplicates_total", dimensions: labels)
        parked = Counter(label: "sluice_consumer_parked_total", dimensions: labels)
        dead = Counter(label: "sluice_consumer_dead_total", dimensions: labels)
        givenUp = Counter(label: "sluice_consumer_given_up_total", dimensions: labels)
        conflicts = Counter(label: "sluice_consumer_conflicts_total", dimensions: labels)
        deferred = Counter(label: "sluice_consumer_deferred_total", dimensions: labels)
        attached = Gauge(label: "sluice_consumers_attached", dimensions: labels)
        meant = Gauge(label: "sluice_consumers_meant", dimensions: labels)
        listening = Gauge(label: "sluice_consumer_listening", dimensions: labels)
    }

    func handled(_ count: Int, by path: Path) { handled[path]?.increment(by: count) }
    func duplicates(_ count: Int) { if count > 0 { duplicates.increment(by: count) } }
    func parked(_ count: Int) { parked.increment(by: count) }
    func dead(_ count: Int) { dead.increment(by: count) }
    func givenUp(_ count: Int) { givenUp.increment(by: count) }
    func conflict() { conflicts.increment() }
    func deferred(_ count: Int) { if count > 0 { deferred.increment(by: count) } }
    func attached(_ isAttached: Bool, meant isMeant: Bool) {
        attached.record(isAttached ? 1 : 0)
        meant.record(isMeant ? 1 : 0)
    }
    func listening(_ isListening: Bool) { listening.record(isListening ? 1 : 0) }
}
