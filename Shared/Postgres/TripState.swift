import DequeModule

/// What the answers to one trip mean, without any I/O: which statement an answer belongs to, what failed first, and
/// whether the work may have been committed. Every event is answered in every state.
struct TripState {
    /// What was sent, in order; each but the sync is answered by results and then an end.
    enum Step: Equatable {
        case prepare(text: String, name: String)
        case execute(index: Int)
        case sync
    }

    enum Event {
        case rows(Rows)
        case failed(PostgresError)
        case skipped
        /// libpq's NULL behind the results of one step.
        case end
        case sync
        /// A result that has no place in a pipeline.
        case other
    }

    enum Action: Equatable {
        case none
        /// The server refused or skipped this preparation.
        case forget(text: String, name: String)
        /// The whole trip is answered.
        case finished
        /// The answers make no sense: drop the connection.
        case violation
    }

    private(set) var awaited: Deque<Step> = []
    private(set) var rows: [Rows] = []
    private(set) var failure: PostgresError?
    private(set) var isFinished = false
    /// Statements that are wholly answered, the preamble included.
    private(set) var answered = 0
    private var skipped = 0
    private var isAnswered = false

    /// Statements that the client put before the caller's own: BEGIN, the scope.
    let preamble: Int
    /// How many statements there are, the preamble included.
    let statementCount: Int

    init(preamble: Int, statementCount: Int) {
        self.preamble = preamble
        self.statementCount = statementCount
    }

    mutating func sent(_ step: Step) { awaited.append(step) }

    var awaitsAnswer: Bool { !awaited.isEmpty }
    var syncIsSent: Bool { awaited.last == .sync || isFinished }

    mutating func receive(_ event: Event) -> Action {
        guard !isFinished, let step = awaited.first else { return .violation }
        switch (step, event) {
        case (.sync, .sync):
            awaited.removeFirst()
            isFinished = true
            failure?.skippedStatements = skipped
            return .finished
        case (.sync, .failed(let error)):
            // A deferred constraint fails only here; the sync itself is still to come.
            note(error, index: nil)
            return .none
        case (.sync, .end):
            // Behind such a failure.
            return failure == nil ? .violation : .none
        case (.sync, _): return .violation
        case (_, .sync), (_, .other): return .violation
        case (.prepare, .rows), (.execute, .rows):
            guard !isAnswered else { return .violation }
            isAnswered = true
            if case (.execute, .rows(let answer)) = (step, event) { rows.append(answer) }
            return .none
        case (.prepare(let text, let name), .failed(let error)):
            guard !isAnswered else { return .violation }
            isAnswered = true
            note(error, index: nextIndex)
            return .forget(text: text, name: name)
        case (.prepare(let text, let name), .skipped):
            guard !isAnswered else { return .violation }
            isAnswered = true
            return .forget(text: text, name: name)
        case (.execute(let index), .failed(let error)):
            guard !isAnswered else { return .violation }
            isAnswered = true
            note(error, index: index)
            return .none
        case (.execute, .skipped):
            guard !isAnswered, failure != nil else { return .violation }
            isAnswered = true
            skipped += 1
            return .none
        case (_, .end):
            guard isAnswered else { return .violation }
            isAnswered = false
            awaited.removeFirst()
            if case .execute = step { answered += 1 }
            return .none
        }
    }

    /// The statement that the next answer belongs to.
    private var nextIndex: Int? {
        for step in awaited {
            if case .execute(let index) = step { return index }
        }
        return nil
    }

    private mutating func note(_ error: PostgresError, index: Int?) {
        guard failure == nil else { return }
        failure = error
        if let index, index >= preamble { failure?.statementIndex = index - preamble }
    }

    /// The caller's answers, or what failed first.
    var outcome: Result<[Rows], PostgresError> {
        if let failure { return .failure(failure) }
        return .success(Array(rows.dropFirst(preamble)))
    }

    /// What to tell the caller if the connection is lost now.
    ///
    /// - Parameters:
    ///   - commitIndex: the statement that is COMMIT; nil if the sync itself commits, `Int.max` if nothing does.
    ///   - fatal: the server's last word; it comes in order, so it says how far the server had got.
    func outcomeIfLost(commitIndex: Int?, fatal: PostgresError?) -> PostgresError {
        if let failure, failure.severity == "ERROR" { return failure }
        let mayBeCommitted: Bool
        switch commitIndex {
        case nil:
            // Only the sync commits; a fatal answer to an earlier statement means that it was never read.
            mayBeCommitted = syncIsSent && (fatal == nil || awaited.first == .sync)
        case let index? where index < statementCount:
            let isSent = awaited.contains(.execute(index: index)) || answered > index
            mayBeCommitted = isSent && (fatal == nil || answered >= index)
        default:
            mayBeCommitted = false
        }
        var error = fatal ?? PostgresError(.connection, "the connection was lost")
        if mayBeCommitted {
            error.kind = .unknownOutcome
            error.message = "the connection was lost before the answer to the commit"
        } else {
            error.kind = .connection
        }
        return error
    }
}
