/// The exchanges, queues and bindings that a service relies on. Declared on every connect, before the first publish or
/// consume.
public struct Topology: Sendable, Hashable {
    public struct Exchange: Sendable, Hashable {
        public enum Kind: String, Sendable { case topic, direct, fanout, headers }

        public var name: String
        public var kind: Kind

        public init(name: String, kind: Kind = .topic) {
            self.name = name
            self.kind = kind
        }
    }

    public struct Queue: Sendable, Hashable {
        public enum Kind: String, Sendable { case quorum, classic }

        public var name: String
        public var kind: Kind

        /// A durable queue that is declared with its type only. Limits, dead-lettering and the like are policies of the
        /// broker: a changed argument would be a channel error for everyone who still declares the old one.
        public init(name: String, kind: Kind = .quorum) {
            self.name = name
            self.kind = kind
        }
    }

    public struct Binding: Sendable, Hashable {
        public var exchange: String
        public var routingKey: String
        public var queue: String

        public init(exchange: String, routingKey: String, queue: String) {
            self.exchange = exchange
            self.routingKey = routingKey
            self.queue = queue
        }
    }

    public var exchanges: [Exchange]
    public var queues: [Queue]
    public var bindings: [Binding]

    public init(exchanges: [Exchange] = [], queues: [Queue] = [], bindings: [Binding] = []) {
        self.exchanges = exchanges
        self.queues = queues
        self.bindings = bindings
    }
}

extension Topology {
    /// The declarations in an order in which each finds what it needs.
    var declarations: [OutboundMethod] {
        exchanges.map { .exchangeDeclare(name: $0.name, kind: $0.kind.rawValue) }
            + queues.map { .queueDeclare(name: $0.name, passive: false, kind: $0.kind.rawValue) }
            + bindings.map { .queueBind(queue: $0.queue, exchange: $0.exchange, routingKey: $0.routingKey) }
    }

    /// Whether a publish to the exchange can be meant. Publishing to one that does not exist closes the channel, and
    /// with it ends every other publish in flight as unknown, so such a message is refused before it is sent.
    func knows(exchange: String) -> Bool {
        exchange.isEmpty || exchange.hasPrefix("amq.") || exchanges.contains { $0.name == exchange }
    }
}
