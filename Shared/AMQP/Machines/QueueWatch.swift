import NIOCore

/// Notices that a queue has forgotten its consumer. RabbitMQ 3.10 says nothing when a quorum queue is deleted, and
/// declared anew by somebody else, under a live consumer; so a quiet consumer looks for itself now and then.
struct QueueWatch {
    /// What a passive declaration said.
    struct Look: Sendable, Hashable {
        var ready: UInt32
        /// Of all clients together.
        var consumers: UInt32
        var answeredIn: Duration
    }

    enum Verdict: Sendable, Hashable {
        case fine
        /// Cancel and consume again on the same channel: what is in hand stays.
        case restart
    }

    /// How long a consumer may be quiet before it looks, and between two looks.
    static let interval = TimeAmount.seconds(2)
    /// An overloaded broker may say 0 after a while without having looked.
    static let trustedWithin = Duration.milliseconds(200)
    /// Beside others, a forgotten consumer cannot be told from a lucky one: so a quiet one begins anew this often.
    static let renewal = TimeAmount.seconds(60)

    private var lastDelivery: NIODeadline
    private var lastStart: NIODeadline
    private var lastLook: NIODeadline
    private var suspicions = 0

    init(startedAt now: NIODeadline) {
        lastDelivery = now
        lastStart = now
        lastLook = now
    }

    mutating func delivered(at now: NIODeadline) {
        lastDelivery = now
        suspicions = 0
    }

    func isLookDue(at now: NIODeadline) -> Bool {
        now - max(lastDelivery, lastLook) >= Self.interval
    }

    /// - Parameter hasRoom: fewer deliveries are in hand than the prefetch allows.
    mutating func looked(_ look: Look, hasRoom: Bool, at now: NIODeadline) -> Verdict {
        lastLook = now
        let isForgotten = look.consumers == 0 && look.answeredIn <= Self.trustedWithin
        let isPassedOver = look.ready > 0 && hasRoom
        suspicions = isForgotten || isPassedOver ? suspicions + 1 : 0
        // Who has no room is quiet by its own fault, and beginning anew would only bring it as many deliveries again.
        let isQuiet = hasRoom && now - max(lastDelivery, lastStart) >= Self.renewal
        return suspicions >= 2 || isQuiet ? .restart : .fine
    }
}
