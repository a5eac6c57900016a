internal import CLibPQ
internal import Dispatch
internal import Glibc

/// One connection for scripts: text with many statements over the simple protocol, as migrations need. It blocks, so it
/// lives on a thread of its own; everything that serves requests uses `PostgresClient`.
public actor ScriptConnection {
    /// Where and as whom to connect.
    public struct Settings: Sendable {
        public var host: String
        public var port: Int
        public var database: String
        public var user: String
        public var password: String?
        /// libpq's word: `disable`, `require`, `verify-full`.
        public var tlsMode: String
        public var certificateAuthorityFile: String?

        public init(
            host: String, port: Int, database: String, user: String, password: String?, tlsMode: String = "disable",
            certificateAuthorityFile: String? = nil
        ) {
            self.host = host
            self.port = port
            self.database = database
            self.user = user
            self.password = password
            self.tlsMode = tlsMode
            self.certificateAuthorityFile = certificateAuthorityFile
        }
    }

    public enum TransactionState: Sendable {
        case idle, open, failed, unknown
    }

    private let executor: QueueExecutor
    private let handle: OpaquePointer

    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Connects within ten seconds or throws.
    public static func open(_ settings: Settings) async throws -> ScriptConnection {
        let executor = QueueExecutor()
        let handle = try await executor.blocking { try Self.connect(settings) }
        return ScriptConnection(executor: executor, handle: handle.pointer)
    }

    private init(executor: QueueExecutor, handle: OpaquePointer) {
        self.executor = executor
        self.handle = handle
    }

    isolated deinit {
        PQfinish(handle)
    }

    /// Runs a whole script. Without BEGIN in it or before it, PostgreSQL makes it one transaction.
    public func run(_ script: String) throws(ScriptError) {
        // PQexec stops at the first error and answers with that.
        try check(PQexec(handle, script), script: script)
    }

    /// Runs one statement with text parameters; answers its rows as text.
    @discardableResult
    public func rows(_ statement: String, _ parameters: [String?] = []) throws(ScriptError) -> [[String?]] {
        let copies = parameters.map { $0.map { strdup($0) } ?? nil }
        defer { for copy in copies { free(copy) } }
        let pointers = copies.map { $0.map { UnsafePointer($0) } }
        let result = PQexecParams(handle, statement, Int32(pointers.count), nil, pointers, nil, nil, 0)
        return try check(result, script: statement)
    }

    /// The SCRAM verifier of a password, so that the password itself never travels or reaches a log.
    public func verifier(password: String, role: String) throws(ScriptError) -> String {
        guard let text = PQencryptPasswordConn(handle, password, role, "scram-sha-256") else {
            throw ScriptError(message: String(cString: PQerrorMessage(handle)))
        }
        defer { PQfreemem(text) }
        return String(cString: text)
    }

    public var transactionState: TransactionState {
        switch PQtransactionStatus(handle) {
        case PQTRANS_IDLE: .idle
        case PQTRANS_INTRANS, PQTRANS_ACTIVE: .open
        case PQTRANS_INERROR: .failed
        default: .unknown
        }
    }

    @discardableResult
    private func check(_ result: OpaquePointer?, script: String) throws(ScriptError) -> [[String?]] {
        guard let result else {
            throw ScriptError(message: String(cString: PQerrorMessage(handle)))
        }
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
            let columns = PQnfields(result)
            return (0..<PQntuples(result)).map { row in
                (0..<columns).map { column in
                    PQgetisnull(result, row, column) == 1 ? nil : String(cString: PQgetvalue(result, row, column))
                }
            }
        default:
            throw ScriptError(result: result, script: script, fallback: String(cString: PQerrorMessage(handle)))
        }
    }

    /// A C handle on its way from the thread that made it to the actor that will own it: nobody else has it.
    private struct Handle: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    private static func connect(_ settings: Settings) throws(ScriptError) -> Handle {
        var options: [(String, String)] = [
            ("host", settings.host), ("port", String(settings.port)), ("dbname", settings.database),
            ("user", settings.user), ("sslmode", settings.tlsMode), ("application_name", "sluicectl"),
            ("connect_timeout", "10"), ("options", "-c client_min_messages=warning"),
        ]
        if let password = settings.password { options.append(("password", password)) }
        if let file = settings.certificateAuthorityFile { options.append(("sslrootcert", file)) }
        let keywords = options.map { strdup($0.0) }
        let values = options.map { strdup($0.1) }
        defer {
            for text in keywords + values { free(text) }
        }
        let handle = PQconnectdbParams(
            keywords.map { UnsafePointer($0) } + [nil], values.map { UnsafePointer($0) } + [nil], 0)
        guard let handle else { throw ScriptError(message: "out of memory") }
        guard PQstatus(handle) == CONNECTION_OK else {
            let message = String(cString: PQerrorMessage(handle))
            PQfinish(handle)
            throw ScriptError(message: message)
        }
        return Handle(pointer: handle)
    }
}

/// Runs an actor's jobs one after another on a thread that may block.
private final class QueueExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "sluice.script-connection")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func blocking<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try work() }) }
        }
    }
}
