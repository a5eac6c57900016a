import Synchronization

/// One pipelined trip: statements up to their Sync, and who waits for it. Lives on the reactor's thread.
final class Trip {
    enum Purpose: Equatable {
        /// A whole transaction of a caller; may run again elsewhere as long as nothing of it has happened.
        case segment
        /// Part of an exclusive connection's work.
        case lease
        /// Ours: brings a session back to rest.
        case rollback
        /// Ours: asks an idle session whether it is alive.
        case probe
        /// Ours: removes prepared statements that were pushed out.
        case deallocate
        /// Ours: removes all prepared statements; what is written behind it belongs to this generation.
        case deallocateAll(generation: Int)
    }

    let purpose: Purpose
    let statements: [SQL]
    /// How many of the statements are ours, before the caller's own.
    let preamble: Int
    /// Which statement is COMMIT; nil if the sync commits, `Int.max` if this trip commits nothing.
    let commitIndex: Int?
    let byteCount: Int
    /// Until when it may wait for a connection.
    let waitsUntil: ContinuousClock.Instant
    let submitted: ContinuousClock.Instant
    /// nil once it is answered, or the caller has gone.
    private var completion: ((Result<[Rows], PostgresError>) -> Void)?
    let ticket: Ticket

    var state: TripState
    var nextStatement = 0
    /// Which generation of prepared statements it was written with.
    var generation = 0
    var hasRunAgain = false
    /// False has a lock time-out on a shared connection answered, instead of a second run where it may wait.
    let waitsForLocks: Bool
    var isAbandoned: Bool { completion == nil }
    /// Its statements are not prepared themselves.
    var isDeallocation: Bool {
        switch purpose {
        case .deallocate, .deallocateAll: true
        case .segment, .lease, .rollback, .probe: false
        }
    }
    var hasBegun: Bool { nextStatement > 0 || state.awaitsAnswer }

    init(
        _ purpose: Purpose, _ statements: [SQL], preamble: Int = 0, commitIndex: Int? = nil, ticket: Ticket = Ticket(),
        submitted: ContinuousClock.Instant = .now, patience: Duration = .seconds(10), waitsForLocks: Bool = true,
        completion: ((Result<[Rows], PostgresError>) -> Void)? = nil
    ) {
        self.purpose = purpose
        self.statements = statements
        self.preamble = preamble
        self.commitIndex = commitIndex
        self.completion = completion
        self.ticket = ticket
        self.submitted = submitted
        self.waitsForLocks = waitsForLocks
        waitsUntil = submitted + patience
        byteCount = statements.reduce(0) { $0 + $1.byteCount }
        state = TripState(preamble: preamble, statementCount: statements.count)
    }

    /// Answers the caller, once.
    func complete(_ result: Result<[Rows], PostgresError>) {
        let completion = self.completion
        self.completion = nil
        completion?(result)
    }

    /// Back to the beginning, to run again from the start.
    func reset() {
        nextStatement = 0
        state = TripState(preamble: preamble, statementCount: statements.count)
    }
}

/// Identifies one call, and carries a cancellation that comes before the call has arrived.
final class Ticket: Sendable {
    let isCancelled = Atomic(false)
    private let isAnswered = Atomic(false)

    /// Called before the answer is handed over, and `received` by its taker: the runtime orders the two already, but
    /// inside code that the thread sanitizer does not see.
    func answered() { isAnswered.store(true, ordering: .releasing) }
    func received() { _ = isAnswered.load(ordering: .acquiring) }

    var id: ObjectIdentifier { ObjectIdentifier(self) }
}
