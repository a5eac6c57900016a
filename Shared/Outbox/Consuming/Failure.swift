internal import Postgres

/// What an error of a try means for the message.
enum Failure {
    /// The handler found nonsense.
    case poison(String)
    /// The database cannot be reached, or does not work for anybody: nothing is the message's fault.
    case unreachable
    /// Nobody knows whether the COMMIT happened: the same transaction decides when it is run again.
    case unknownOutcome
    /// A neighbour was faster: look and decide again.
    case conflict
    /// May pass.
    case passing

    init(_ error: any Error) {
        switch error {
        case let poison as Poison: self = .poison(poison.reason)
        case is DecodingError: self = .poison(DecodingFault.describe(error))
        case is CancellationError: self = .unreachable
        case let error as PostgresError: self = Failure(error)
        default: self = .passing
        }
    }

    private init(_ error: PostgresError) {
        switch error.kind {
        case .unknownOutcome: self = .unknownOutcome
        case .connection, .closed, .readOnly, .cancelled: self = .unreachable
        // Our own deadline means that the pool or the server is stuck; the server's statement_timeout has a state.
        case .timeout: self = error.sqlState == nil ? .unreachable : .passing
        case .server:
            switch error.sqlState {
            // Unique key (the inbox's is looked at before), exclusion, serialisation, deadlock, lock time-out.
            case "23505", "23P01", "40001", "40P01", "55P03": self = .conflict
            case let state? where ["08", "53"].contains(state.prefix(2)) || state.hasPrefix("57P"): self = .unreachable
            default: self = .passing
            }
        case .skipped, .decoding, .encoding: self = .passing
        }
    }

    /// For a log line or a column: never a value from the message.
    static func describe(_ error: any Error) -> String {
        switch error {
        case let error as PostgresError: "\(error)"
        case let error as Poison: error.description
        default: "\(type(of: error))"
        }
    }

    /// Whether the message may not be blamed: states of class 08, 25, 40, 53, 55 or 57, and no answer at all.
    static func isBlameless(_ error: any Error) -> Bool {
        guard let error = error as? PostgresError else { return error is CancellationError }
        guard let state = error.sqlState else { return error.kind != .decoding && error.kind != .encoding }
        return ["08", "25", "40", "53", "55", "57"].contains(state.prefix(2))
    }
}
