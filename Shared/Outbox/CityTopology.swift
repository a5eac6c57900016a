public import AMQP
public import Model

/// The exchanges, queues and bindings of CONTRACTS.md §3: declared whole by every service on every connect.
public enum CityTopology {
    /// The topic exchange of all events.
    public static let events = "city.events"
    /// Where an acting queue puts what it gives up after a thousand returns. Every acting service has a queue there,
    /// gets a copy of everything, and keeps what its own consumers lost (``DeadLetterDrain``).
    public static let dead = "city.dead"
    static let actingServices: [ServiceName] = [.dispatch, .notification]

    public static func queue(_ service: ServiceName, _ lane: Lane) -> String {
        switch (service, lane) {
        case (.dispatch, .emergency), (.notification, .emergency): "\(service.rawValue).emergency"
        case (.dispatch, .routine), (.notification, .routine): "\(service.rawValue).routine"
        default: "\(service.rawValue).events"
        }
    }

    /// What the broker gave up, on its way into the service's table of dead letters.
    public static func deadQueue(_ service: ServiceName) -> String { "\(service.rawValue).dead" }

    /// Queue by queue, what it binds. A key is `<lane>.<district>.<type>`.
    static let bindings: [(queue: String, keys: [String])] = [
        ("dispatch.emergency", ["e.*.report.#", "e.*.notice.#"]),
        ("dispatch.routine", ["r.*.report.#", "r.*.notice.#", "r.*.facility.#", "r.*.place.#"]),
        ("notification.emergency", ["e.*.case.#", "e.*.order.#", "e.*.storm.#"]),
        ("notification.routine", ["r.*.case.#", "r.*.order.#", "r.*.storm.#"]),
        ("scoring.events", ["e.#", "r.#"]),
    ]

    public static let topology = Topology(
        exchanges: [
            Topology.Exchange(name: events, kind: .topic), Topology.Exchange(name: dead, kind: .fanout),
        ],
        queues: (bindings.map(\.queue) + actingServices.map(deadQueue)).map { Topology.Queue(name: $0) },
        bindings: bindings.flatMap { queue, keys in
            keys.map { Topology.Binding(exchange: events, routingKey: $0, queue: queue) }
        } + actingServices.map { Topology.Binding(exchange: dead, routingKey: "", queue: deadQueue($0)) })

    /// The acting queues that a service's own routine events go to: its relay holds back while they are full.
    static func routineTargets(of service: ServiceName) -> [String] {
        let aggregates = Set(EventType.allCases.filter { $0.publisher == service }.map(\.aggregate))
        return bindings.filter { queue, keys in
            queue.hasSuffix(".routine") && keys.contains { key in aggregates.contains { key == "r.*.\($0).#" } }
        }.map(\.queue)
    }
}
