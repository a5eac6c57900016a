/// What went wrong, without any value that was sent or stored.
public struct PostgresError: Error, Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        /// The server refused a statement; `sqlState` says why. Nothing of the unit of work has happened.
        case server
        /// No connection, or lost before the work could have been committed.
        case connection
        /// A deadline passed: waiting for a connection, or the server's `statement_timeout`. Nothing has happened.
        case timeout
        /// The caller was cancelled. Work that was under way may still happen.
        case cancelled
        /// The client is shutting down, or the transaction is over.
        case closed
        /// The connection was lost between the commit and its answer: run the same work again under the same key.
        case unknownOutcome
        /// The server takes no writes (a standby).
        case readOnly
        /// An earlier statement of the same transaction failed, so this one was not run.
        case skipped
        /// An answer does not fit the type that was asked for.
        case decoding
        /// A value cannot be sent: a zero byte in text, or too many parameters.
        case encoding
    }

    public var kind: Kind
    /// Five characters, as the server sent them; nil if the error arose on our side.
    public var sqlState: String?
    /// The primary message; quoted values are replaced by `…`. Never DETAIL, HINT or CONTEXT: those show rows.
    public var message: String
    /// ERROR, FATAL or PANIC.
    public var severity: String?
    public var constraint: String?
    public var schema: String?
    public var table: String?
    public var column: String?
    /// Which of the caller's statements failed, from 0.
    public var statementIndex: Int?
    /// How many statements behind the failed one were skipped.
    public var skippedStatements: Int = 0
    /// True if a cached plan no longer fits the tables; the client has already tried again once.
    public internal(set) var isStalePlan: Bool = false

    public init(
        _ kind: Kind, _ message: String, sqlState: String? = nil, severity: String? = nil, constraint: String? = nil,
        schema: String? = nil, table: String? = nil, column: String? = nil, statementIndex: Int? = nil
    ) {
        self.kind = kind
        self.message = message
        self.sqlState = sqlState
        self.severity = severity
        self.constraint = constraint
        self.schema = schema
        self.table = table
        self.column = column
        self.statementIndex = statementIndex
    }
}

extension PostgresError {
    /// True if the same work may well succeed later, unchanged: the fault is not its own.
    public var isTransient: Bool {
        if isStalePlan { return true }
        switch kind {
        case .connection, .timeout, .unknownOutcome, .readOnly, .closed: return true
        case .cancelled, .skipped, .decoding, .encoding: return false
        case .server:
            guard let sqlState else { return false }
            // 55000 (object not in prerequisite state) is a fault of the statement, 55P03 and its like are not.
            if sqlState.hasPrefix("55") { return sqlState != "55000" }
            return ["08", "40", "53", "57", "58"].contains(sqlState.prefix(2))
        }
    }

    /// A row with this key is already there (23505). The name is the constraint's, as declared.
    public func isUniqueViolation(constraint: String? = nil) -> Bool {
        sqlState == "23505" && (constraint == nil || constraint == self.constraint)
    }

    /// An exclusion constraint (23P01) refused the row.
    public func isExclusionViolation(constraint: String? = nil) -> Bool {
        sqlState == "23P01" && (constraint == nil || constraint == self.constraint)
    }

    /// Waited too long for a lock (55P03).
    public var isLockTimeout: Bool { sqlState == "55P03" }

    static let shutDown = PostgresError(.closed, "the client is shut down")
    static let cancelledByCaller = PostgresError(.cancelled, "the caller was cancelled")
    static let waitedTooLong = PostgresError(.timeout, "no connection became free before the deadline")
    static let leaseLost = PostgresError(.connection, "the connection of this transaction was lost")
}

extension PostgresError: CustomStringConvertible {
    public var description: String {
        var text = "\(kind.rawValue)"
        if let sqlState { text += " \(sqlState)" }
        text += ": \(message)"
        if let constraint { text += " [constraint \(constraint)]" }
        if let statementIndex { text += " [statement \(statementIndex)]" }
        return text
    }

    /// Messages of class 22 (data exceptions) quote the value that they complain of.
    static func redacted(_ message: String, sqlState: String?) -> String {
        guard let sqlState, sqlState.hasPrefix("22"), message.contains("\"") else { return message }
        let parts = message.split(separator: "\"", omittingEmptySubsequences: false)
        // A value may itself contain quotes: keep what stands before the first and after the last.
        guard parts.count > 2, let first = parts.first, let last = parts.last else { return String(parts[0]) + "\"…\"" }
        return "\(first)\"…\"\(last)"
    }
}
