public import Model
public import Postgres

/// How a consumer acts on events: a ``SegmentHandler`` or a ``DecisionHandler``.
///
/// What is thrown says what becomes of the message: ``Poison`` (and any `DecodingError`) makes it a dead letter; any
/// other error is taken as passing, so a routine message is parked and tried again, and an emergency is tried again by
/// the rules of its lane.
public protocol EventHandler: Sendable {
    /// Which of the two kinds this is; given by the two protocols.
    var work: HandlerWork { get }

    /// The canary's events are dropped unread: whoever only records has no use for them.
    var dropsCanaries: Bool { get }

    /// What to write in the transaction that makes the event a dead letter, such as what became of a report.
    func deadLettered(_ event: Event, reason: String) -> [SQL]
}

extension EventHandler {
    public var dropsCanaries: Bool { false }
    public func deadLettered(_ event: Event, reason: String) -> [SQL] { [] }
}

public enum HandlerWork: Sendable {
    case segment(any SegmentHandler)
    case decision(any DecisionHandler)
}

/// The message is nonsense and will stay so: it cannot be decoded, breaks its schema, or breaks a rule.
public struct Poison: Error, Sendable, CustomStringConvertible {
    /// For the person who looks at the dead letter; without values from the message that could be personal data.
    public var reason: String

    public init(_ reason: String) {
        self.reason = reason
    }

    public var description: String { "poison: \(reason)" }
}

/// Everything is known beforehand: one pipelined trip {inbox, effects, outbox}.
public protocol SegmentHandler: EventHandler {
    /// What the event makes true. Pure: no I/O.
    func effects(of event: Event) throws -> (statements: [SQL], announcements: [Announcement])

    /// Runs after the COMMIT, and not at all if the process dies there: only for hints.
    func committed(_ event: Event, announcements: [Announcement]) async
}

extension SegmentHandler {
    public var work: HandlerWork { .segment(self) }
    public func committed(_ event: Event, announcements: [Announcement]) async {}
}

/// Rests on rows that others change: an exclusive connection and two pipelined trips,
/// {BEGIN, inbox, locks, look} → decide → {writes, outbox, COMMIT}.
public protocol DecisionHandler: EventHandler {
    associatedtype Plan: Sendable

    /// Which locks the batch needs, and what to look at once they are held. Pure; may be asked again for one event of
    /// the batch alone, to learn which events a lock belongs to.
    func plan(_ events: [Event]) throws -> (locks: [AdvisoryLock], look: [SQL], plan: Plan)

    /// Folds a pure rule over the batch: what to write and announce. `events` are those of the plan that are new and
    /// whose locks are held, in the plan's order; `rows` are the answers of the look, statement by statement.
    func decide(
        _ events: [Event], plan: Plan, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement])

    /// Runs after the COMMIT, and not at all if the process dies there: only for hints, such as running the crew claim.
    func committed(_ events: [Event], announcements: [Announcement]) async
}

extension DecisionHandler {
    public var work: HandlerWork { .decision(self) }
    public func committed(_ events: [Event], announcements: [Announcement]) async {}
}
