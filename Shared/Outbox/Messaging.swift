public import Model
public import Postgres

/// How a service announces what it does. One a process, passed to everything that writes.
///
///     let statements = [writeCase, writeOrder] + messaging.announce([opened, assigned])
///     _ = try await database.segment(statements)
///     messaging.committed([.emergency])
public struct Messaging: Sendable {
    public let service: ServiceName
    public let sources: Sources
    /// Of this software; kept with each dead letter, so that one can see which release judged it.
    public let version: String
    let statements: AnnouncementStatements
    let signals = Signals()

    /// What is woken after a commit.
    struct Signals: Sendable {
        let routineRelay = WakeSignal()
        let emergencyRelay = WakeSignal()
        let notifier = WakeSignal()
    }

    public init(service: ServiceName, sources: Sources, version: String = "1") {
        self.service = service
        self.sources = sources
        self.version = version
        self.statements = AnnouncementStatements(schema: service.schema)
    }

    /// What to append to a segment or decision: the `history` rows and the outbox rows of these announcements, at most
    /// one statement a lane. Nothing for none.
    public func announce(_ announcements: [Announcement]) -> [SQL] {
        statements.statements(for: announcements)
    }

    /// To be called after the COMMIT of a transaction that announced something: wakes this process's relay at once and,
    /// for emergencies, sends the hint to listening consumers (coalesced, in a transaction of its own). A call that is
    /// left out costs a poll interval and nothing else.
    public func committed(_ lanes: Set<Lane>) {
        if lanes.contains(.emergency) {
            signals.notifier.wake()
            signals.emergencyRelay.wake()
        }
        if lanes.contains(.routine) { signals.routineRelay.wake() }
    }

    /// The lanes of these announcements, for `committed(_:)`.
    public func committed(_ announcements: [Announcement]) {
        committed(Set(announcements.map(\.event.lane)))
    }
}
