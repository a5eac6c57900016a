public enum TransactionIsolation: Sendable, Hashable {
    case readCommitted
    case repeatableRead
    /// One snapshot, and no writes: for long reads in several steps.
    case repeatableReadOnly
    case serializable

    var begin: SQL {
        switch self {
        case .readCommitted: "BEGIN ISOLATION LEVEL READ COMMITTED"
        case .repeatableRead: "BEGIN ISOLATION LEVEL REPEATABLE READ"
        case .repeatableReadOnly: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        case .serializable: "BEGIN ISOLATION LEVEL SERIALIZABLE"
        }
    }
}

/// A transaction under way on an exclusive connection. Valid inside the closure that received it.
public final class PostgresTransaction: Sendable {
    private enum Stage {
        /// BEGIN has not been sent.
        case fresh
        case open
        case over
    }

    private struct State {
        var stage = Stage.fresh
        /// The first failure: from then on there is nothing but ROLLBACK.
        var failure: PostgresError?
    }

    let core: ClientCore
    let lease: ClientCore.Lease
    private let opening: [SQL]
    private let state = Locked(State())

    init(core: ClientCore, lease: ClientCore.Lease, scope: DistrictScope, isolation: TransactionIsolation) {
        self.core = core
        self.lease = lease
        opening = [isolation.begin] + (scope.statement.map { [$0] } ?? [])
    }

    /// One pipelined trip; answers in the statements' order.
    ///
    /// - Throws: `PostgresError`, which names the statement that failed. The transaction is then lost as a whole, and
    ///   whatever else is asked of it throws the same error.
    @discardableResult
    public func send(_ statements: [SQL]) async throws -> [Rows] {
        try await trip(statements, ending: nil)
    }

    /// One trip under another scope, which holds from here on: for what has been found to be allowed, and touches rows
    /// of districts that its caller does not see.
    @discardableResult
    public func send(_ statements: [SQL], scope: DistrictScope) async throws -> [Rows] {
        try await trip(statements, ending: nil, scope: scope)
    }

    /// A trip of one statement.
    @discardableResult
    public func query(_ sql: SQL) async throws -> Rows {
        try await send([sql])[0]
    }

    /// The last writes and COMMIT in one trip. Nothing may be sent after it.
    ///
    /// - Throws: `PostgresError`; after `.unknownOutcome` run the whole transaction again under the same key.
    @discardableResult
    public func commit(_ statements: [SQL] = []) async throws -> [Rows] {
        try await trip(statements, ending: "COMMIT")
    }

    /// Gives up what was done so far. Nothing may be sent after it, and nothing is committed.
    public func rollback() async throws {
        let isOpen = try state.withLock { state in
            guard state.stage != .over else { throw Self.over }
            defer { state.stage = .over }
            return state.stage == .open
        }
        if isOpen { _ = try await core.trip(["ROLLBACK"], preamble: 0, on: lease, commitIndex: .max) }
    }

    private func trip(_ statements: [SQL], ending: SQL?, scope: DistrictScope? = nil) async throws -> [Rows] {
        let preamble = try state.withLock { state in
            guard state.stage != .over else { throw Self.over }
            // Not only the server refuses from then on: what was refused on our side may have taken BEGIN with it.
            if let failure = state.failure { throw failure }
            let preamble = state.stage == .fresh ? opening : []
            if ending != nil { state.stage = .over } else { state.stage = .open }
            return preamble + (scope?.statement.map { [$0] } ?? [])
        }
        // Nothing was begun and nothing is to be done.
        if statements.isEmpty, ending != nil, !preamble.isEmpty { return [] }
        let all = preamble + statements + (ending.map { [$0] } ?? [])
        do {
            var rows = try await core.trip(
                all, preamble: preamble.count, on: lease, commitIndex: ending == nil ? .max : all.count - 1)
            guard ending != nil else { return rows }
            // The server answers COMMIT of a failed transaction with ROLLBACK, and no error.
            if rows.popLast()?.commandTag == "ROLLBACK" {
                throw PostgresError(.skipped, "the transaction had failed and was rolled back", sqlState: "25P02")
            }
            return rows
        } catch let error as PostgresError {
            state.withLock { $0.failure = $0.failure ?? error }
            throw error
        }
    }

    /// The closure has returned: what it left open is committed, unless a failure that it swallowed forbids it.
    nonisolated(nonsending) func finish() async throws {
        let (stage, failure) = state.withLock { ($0.stage, $0.failure) }
        switch stage {
        case .fresh, .over: return
        case .open:
            if let failure { throw failure }
            try await commit()
        }
    }

    /// Nothing more is sent; returns the first failure.
    func close() -> PostgresError? {
        state.withLock { state in
            state.stage = .over
            return state.failure
        }
    }

    private static let over = PostgresError(.closed, "the transaction is over")
}
