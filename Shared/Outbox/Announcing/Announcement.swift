public import Model

/// What a transaction wants to announce. It becomes a `history` row and a row of the outbox (lane `e`:
/// `emergency_outbox`) in that same transaction, so that the fact and its announcement stand or fall together.
public struct Announcement: Sendable {
    public var event: Event
    /// The aggregate's kind, `case`; the first word of the event's type unless said otherwise.
    public var aggregate: String
    /// Who did it: an account's id, `system`, or the name of a rule. Never a person's name.
    public var actor: String
    /// When somebody saw it, if that differs from when it was done here.
    public var observedAt: Timestamp?
    /// When it reached the system, if it came from outside.
    public var receivedAt: Timestamp?

    public init(
        event: Event, aggregate: String? = nil, actor: String, observedAt: Timestamp? = nil,
        receivedAt: Timestamp? = nil
    ) {
        self.event = event
        self.aggregate = aggregate ?? event.type.aggregate
        self.actor = actor
        self.observedAt = observedAt
        self.receivedAt = receivedAt
    }
}

extension EventType {
    /// The inboxes that must show an emergency of this type before its outbox row may go: `dispatch.emergency`.
    var emergencyInboxes: [String] {
        emergencyConsumers.map { "\($0.rawValue).emergency" }
    }
}
