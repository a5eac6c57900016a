/// What libpq cannot do in pipeline mode: a script of several statements, and COPY. One at a time, and only on a
/// session that is at rest.
enum Exchange {
    enum Opening {
        /// The script is done; its last answer's count of rows.
        case done(affected: Int)
        case copyIn
        case copyOut
    }

    case none
    case opening((Result<Opening, PostgresError>) -> Void, isScript: Bool, failure: PostgresError?, affected: Int)
    /// The caller sends when it likes.
    case copyIn
    /// A chunk is on its way.
    case sending([UInt8], taken: Bool, (Result<Void, PostgresError>) -> Void)
    case closing(String?, isSent: Bool, (Result<Int, PostgresError>) -> Void, failure: PostgresError?, affected: Int)
    /// The caller reads when it likes; until then the server waits.
    case copyOut
    case receiving((Result<[UInt8]?, PostgresError>) -> Void)
    /// The last row was read, the end of the command was not.
    case draining((Result<[UInt8]?, PostgresError>) -> Void, failure: PostgresError?)

    var isNone: Bool { if case .none = self { true } else { false } }

    /// While nobody reads a COPY its rows stay in the socket, so that a slow reader slows the server.
    var wantsInput: Bool { if case .copyOut = self { false } else { true } }

    /// A caller waits for the next step.
    var isWaitedFor: Bool {
        switch self {
        case .none, .copyIn, .copyOut: false
        case .opening, .sending, .closing, .receiving, .draining: true
        }
    }

    func fail(_ error: PostgresError) {
        switch self {
        case .none, .copyIn, .copyOut: break
        case .opening(let completion, let isScript, let failure, _):
            var lost = failure ?? error
            // The server may have run, and committed, all of it. A COPY that did not begin has written nothing.
            if failure == nil, isScript { lost.kind = .unknownOutcome }
            completion(.failure(lost))
        case .sending(_, _, let completion): completion(.failure(error))
        case .closing(_, let isSent, let completion, let failure, _):
            var lost = failure ?? error
            // Once the end is sent the server may have taken the rows.
            if failure == nil, isSent { lost.kind = .unknownOutcome }
            completion(.failure(lost))
        case .receiving(let completion), .draining(let completion, _): completion(.failure(error))
        }
    }
}

extension Session {
    /// Leaves pipeline mode and sends the text. The session must be at rest.
    func begin(
        _ text: String, isScript: Bool, patience: Duration,
        completion: @escaping (Result<Exchange.Opening, PostgresError>) -> Void
    ) {
        guard isAtRest, phase == .ready, handle.exitPipeline(), handle.script(text) else {
            return completion(.failure(PostgresError(.connection, "the session is not at rest")))
        }
        exchange = .opening(completion, isScript: isScript, failure: nil, affected: 0)
        exchangeBy = .now + patience
        flush()
    }

    /// One chunk into a COPY; answered when the socket has taken it.
    func send(_ bytes: [UInt8], patience: Duration, completion: @escaping (Result<Void, PostgresError>) -> Void) {
        guard case .copyIn = exchange else { return completion(.failure(Self.noCopy)) }
        exchange = .sending(bytes, taken: false, completion)
        exchangeBy = .now + patience
    }

    /// Ends a COPY in; with a reason the server discards its rows.
    func endCopy(
        failure: String?, patience: Duration, completion: @escaping (Result<Int, PostgresError>) -> Void
    ) {
        guard case .copyIn = exchange else { return completion(.failure(Self.noCopy)) }
        exchange = .closing(failure, isSent: false, completion, failure: nil, affected: 0)
        exchangeBy = .now + patience
    }

    /// The next rows of a COPY out, nil at its end.
    func receiveCopy(patience: Duration, completion: @escaping (Result<[UInt8]?, PostgresError>) -> Void) {
        guard case .copyOut = exchange else { return completion(.failure(Self.noCopy)) }
        exchange = copyOutHasEnded ? .draining(completion, failure: nil) : .receiving(completion)
        exchangeBy = .now + patience
    }

    private static let noCopy = PostgresError(.closed, "no COPY is under way")

    func advanceExchange() {
        if holdsUnsentBytes { flush() }
        guard !holdsUnsentBytes else { return }
        switch exchange {
        case .sending(let bytes, let taken, let completion):
            if taken {
                exchange = .copyIn
                completion(.success(()))
                return
            }
            switch handle.putCopyData(bytes) {
            case .taken:
                exchange = .sending([], taken: true, completion)
                flush()
                if !holdsUnsentBytes {
                    exchange = .copyIn
                    completion(.success(()))
                }
            case .full: holdsUnsentBytes = true
            case .failed: lose()
            }
        case .closing(let reason, false, let completion, _, _):
            switch handle.putCopyEnd(failure: reason) {
            case .taken:
                exchange = .closing(reason, isSent: true, completion, failure: nil, affected: 0)
                flush()
            case .full: holdsUnsentBytes = true
            case .failed: lose()
            }
        case .none, .opening, .copyIn, .closing, .copyOut, .receiving, .draining: break
        }
    }

    func readExchange() {
        if case .receiving(let completion) = exchange { return receive(completion) }
        while exchange.isWaitedFor, !isSending, !handle.isBusy {
            guard let result = handle.nextResult() else {
                if handle.hasFailed { return lose() }
                return endExchange()
            }
            switch result.status {
            case .failed:
                let error = result.error
                if error.sqlState == nil { return lose(error) }
                if error.severity != "ERROR" { return lose(error, fatal: error) }
                note(error)
            case .copyIn:
                guard case .opening(let completion, _, _, _) = exchange else { return lose() }
                exchange = .copyIn
                return completion(.success(.copyIn))
            case .copyOut:
                guard case .opening(let completion, _, _, _) = exchange else { return lose() }
                exchange = .copyOut
                return completion(.success(.copyOut))
            case .command, .rows: note(affected: result.affected)
            case .skipped, .sync, .other: return lose()
            }
        }
    }

    /// Until the end is sent libpq has nothing to answer with.
    private var isSending: Bool {
        switch exchange {
        case .sending: true
        case .closing(_, let isSent, _, _, _): !isSent
        default: false
        }
    }

    private func receive(_ completion: @escaping (Result<[UInt8]?, PostgresError>) -> Void) {
        var bytes: [UInt8] = []
        while true {
            switch handle.getCopyData(into: &bytes) {
            case .bytes:
                if bytes.count < 64 << 10 { continue }
                exchange = .copyOut
                return completion(.success(bytes))
            case .notReady:
                if bytes.isEmpty { return }
                exchange = .copyOut
                return completion(.success(bytes))
            case .end where bytes.isEmpty:
                exchange = .draining(completion, failure: nil)
                return readExchange()
            case .end:
                // libpq says "end" once only: remember it for the next call.
                exchange = .copyOut
                copyOutHasEnded = true
                return completion(.success(bytes))
            case .failed: return lose()
            }
        }
    }

    private func note(_ error: PostgresError) {
        switch exchange {
        case .opening(let completion, let isScript, let failure, let affected):
            exchange = .opening(completion, isScript: isScript, failure: failure ?? error, affected: affected)
        case .closing(let reason, let isSent, let completion, let failure, let affected):
            exchange = .closing(reason, isSent: isSent, completion, failure: failure ?? error, affected: affected)
        case .draining(let completion, let failure): exchange = .draining(completion, failure: failure ?? error)
        default: break
        }
    }

    private func note(affected count: Int) {
        switch exchange {
        case .opening(let completion, let isScript, let failure, _):
            exchange = .opening(completion, isScript: isScript, failure: failure, affected: count)
        case .closing(let reason, let isSent, let completion, let failure, _):
            exchange = .closing(reason, isSent: isSent, completion, failure: failure, affected: count)
        default: break
        }
    }

    private func endExchange() {
        let ended = exchange
        exchange = .none
        copyOutHasEnded = false
        guard handle.enterPipeline() else {
            ended.fail(PostgresError(.connection, "the session does not go back to pipeline mode"))
            return lose()
        }
        switch ended {
        case .opening(let completion, _, let failure, let affected):
            completion(failure.map(Result.failure) ?? .success(.done(affected: affected)))
        case .closing(_, _, let completion, let failure, let affected):
            completion(failure.map(Result.failure) ?? .success(affected))
        case .draining(let completion, let failure): completion(failure.map(Result.failure) ?? .success(nil))
        case .none, .copyIn, .sending, .copyOut, .receiving: break
        }
        events.append(.exchangeEnded)
    }
}
