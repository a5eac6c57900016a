import CLibPQ
import Glibc

/// The one owner of a `PGconn`. Not Sendable: it lives inside an actor whose executor is the reactor's thread.
final class LibPQHandle {
    private let connection: OpaquePointer
    private let notices: NoticeBox
    private(set) var isFinished = false

    /// Begins to connect; never blocks as long as `host` needs no look-up (`hostaddr` is given or it is a socket).
    init?(parameters: [(String, String)]) {
        var keywords: [UnsafePointer<CChar>?] = parameters.map { UnsafePointer(strdup($0.0)) }
        var values: [UnsafePointer<CChar>?] = parameters.map { UnsafePointer(strdup($0.1)) }
        keywords.append(nil)
        values.append(nil)
        defer {
            for pointer in keywords + values { free(UnsafeMutablePointer(mutating: pointer)) }
        }
        guard let connection = PQconnectStartParams(keywords, values, 0) else { return nil }
        self.connection = connection
        notices = NoticeBox()
        // The receiver gets the box unretained: it lives exactly as long as this object, which finishes the connection.
        PQsetNoticeReceiver(connection, receiveNotice, Unmanaged.passUnretained(notices).toOpaque())
    }

    deinit { finish() }

    func finish() {
        guard !isFinished else { return }
        isFinished = true
        PQfinish(connection)
    }

    // MARK: Connecting

    enum Progress {
        case reading, writing, ready, failed
    }

    func poll() -> Progress {
        switch PQconnectPoll(connection) {
        case PGRES_POLLING_OK: .ready
        case PGRES_POLLING_READING: .reading
        case PGRES_POLLING_WRITING: .writing
        default: .failed
        }
    }

    var hasFailed: Bool { isFinished || PQstatus(connection) == CONNECTION_BAD }
    var socket: Int32 { isFinished ? -1 : PQsocket(connection) }
    var serverProcess: Int32 { isFinished ? 0 : PQbackendPID(connection) }

    /// libpq's own account of what failed, on one line. It names hosts and roles, never values.
    var errorMessage: String {
        guard !isFinished, let text = PQerrorMessage(connection) else { return "" }
        return String(cString: text).split(separator: "\n").joined(separator: "; ")
    }

    /// SQLSTATE of a fatal message that came while nothing was under way (an administrator's shutdown, a time-out).
    var lastNoticeState: String? { notices.fatalState }

    /// Settings that the server reports by itself whenever they change (PostgreSQL 14 and later).
    var takesWrites: Bool {
        reported("in_hot_standby") != "on" && reported("default_transaction_read_only") != "on"
    }

    private func reported(_ setting: String) -> String? {
        PQparameterStatus(connection, setting).map { String(cString: $0) }
    }

    enum TransactionStatus {
        case idle, active, inTransaction, failed, unknown
    }

    var transactionStatus: TransactionStatus {
        switch PQtransactionStatus(connection) {
        case PQTRANS_IDLE: .idle
        case PQTRANS_ACTIVE: .active
        case PQTRANS_INTRANS: .inTransaction
        case PQTRANS_INERROR: .failed
        default: .unknown
        }
    }

    // MARK: Modes

    func becomeNonBlocking() -> Bool { PQsetnonblocking(connection, 1) == 0 }
    func enterPipeline() -> Bool { PQenterPipelineMode(connection) == 1 }
    func exitPipeline() -> Bool { PQexitPipelineMode(connection) == 1 }

    // MARK: Sending (all only queue; `flush` and the socket do the rest)

    func prepare(name: String, text: String, types: [UInt32]) -> Bool {
        PQsendPrepare(connection, name, text, Int32(types.count), types) == 1
    }

    func execute(name: String, parameters: borrowing EncodedParameters) -> Bool {
        parameters.withPointers { count, values, lengths, formats in
            PQsendQueryPrepared(connection, name, count, values, lengths, formats, 0) == 1
        }
    }

    /// Without a prepared statement; also where its text is used only once.
    func execute(text: String, types: [UInt32], parameters: borrowing EncodedParameters) -> Bool {
        parameters.withPointers { count, values, lengths, formats in
            PQsendQueryParams(connection, text, count, types, values, lengths, formats, 0) == 1
        }
    }

    func sync() -> Bool { PQpipelineSync(connection) == 1 }

    /// Several statements in one text, outside pipeline mode only.
    func script(_ text: String) -> Bool { PQsendQuery(connection, text) == 1 }

    enum Flushed {
        case everything, partly, failed
    }

    func flush() -> Flushed {
        switch PQflush(connection) {
        case 0: .everything
        case 1: .partly
        default: .failed
        }
    }

    // MARK: Receiving

    func consumeInput() -> Bool { PQconsumeInput(connection) == 1 }
    var isBusy: Bool { PQisBusy(connection) == 1 }
    func nextResult() -> ResultHandle? { PQgetResult(connection).map(ResultHandle.init) }

    func nextNotification() -> (channel: String, payload: String)? {
        guard let notification = PQnotifies(connection) else { return nil }
        defer { PQfreemem(notification) }
        return (
            String(cString: notification.pointee.relname), notification.pointee.extra.map { String(cString: $0) } ?? ""
        )
    }

    // MARK: COPY, outside pipeline mode only

    enum Queued {
        case taken, full, failed
    }

    func putCopyData(_ bytes: [UInt8]) -> Queued {
        let status = bytes.withUnsafeBytes { buffer in
            PQputCopyData(connection, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count))
        }
        return status == 1 ? .taken : status == 0 ? .full : .failed
    }

    func putCopyEnd(failure: String?) -> Queued {
        let status = PQputCopyEnd(connection, failure)
        return status == 1 ? .taken : status == 0 ? .full : .failed
    }

    enum CopyChunk {
        case bytes, notReady, end, failed
    }

    /// Appends one row of COPY OUT to `bytes`.
    func getCopyData(into bytes: inout [UInt8]) -> CopyChunk {
        var pointer: UnsafeMutablePointer<CChar>?
        let count = PQgetCopyData(connection, &pointer, 1)
        defer { PQfreemem(pointer) }
        if count > 0, let pointer {
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: pointer, count: Int(count)))
            return .bytes
        }
        return count == 0 ? .notReady : count == -1 ? .end : .failed
    }
}

/// Keeps the state of the last fatal message that belonged to no statement.
private final class NoticeBox {
    var fatalState: String?
}

/// libpq would print notices to stderr; they may show values, so none is kept but a fatal one's code.
private func receiveNotice(argument: UnsafeMutableRawPointer?, result: OpaquePointer?) {
    guard let argument, let result, let severity = PQresultErrorField(result, DiagnosticField.severity) else { return }
    guard strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0 else { return }
    let box = Unmanaged<NoticeBox>.fromOpaque(argument).takeUnretainedValue()
    box.fatalState = PQresultErrorField(result, DiagnosticField.sqlState).map { String(cString: $0) }
}

/// `PG_DIAG_*` of postgres_ext.h: character macros are not imported.
enum DiagnosticField {
    static let severity = Int32(UInt8(ascii: "V"))
    static let sqlState = Int32(UInt8(ascii: "C"))
    static let message = Int32(UInt8(ascii: "M"))
    static let schema = Int32(UInt8(ascii: "s"))
    static let table = Int32(UInt8(ascii: "t"))
    static let column = Int32(UInt8(ascii: "c"))
    static let constraint = Int32(UInt8(ascii: "n"))
    static let sourceFunction = Int32(UInt8(ascii: "R"))
}

/// Parameters laid out one behind the other, as C strings or as bytes, in one allocation.
struct EncodedParameters: ~Copyable {
    private let buffer: UnsafeMutableRawBufferPointer
    private var offsets: [Int]
    private var lengths: [Int32]
    private var formats: [Int32]

    init(_ parameters: [PostgresParameter]) {
        let size = parameters.reduce(0) { $0 + $1.byteCount + 1 }
        buffer = .allocate(byteCount: max(1, size), alignment: 1)
        offsets = []
        lengths = []
        formats = []
        offsets.reserveCapacity(parameters.count)
        lengths.reserveCapacity(parameters.count)
        formats.reserveCapacity(parameters.count)
        var end = 0
        for parameter in parameters {
            switch parameter.storage {
            case .null:
                offsets.append(-1)
                lengths.append(0)
                formats.append(0)
            case .text(let text):
                offsets.append(end)
                let count = text.utf8.count
                UnsafeMutableRawBufferPointer(rebasing: buffer[end..<(end + count)]).copyBytes(from: text.utf8)
                buffer[end + count] = 0
                end += count + 1
                lengths.append(Int32(count))
                formats.append(0)
            case .binary(let bytes):
                offsets.append(end)
                UnsafeMutableRawBufferPointer(rebasing: buffer[end..<(end + bytes.count)]).copyBytes(from: bytes)
                end += bytes.count
                lengths.append(Int32(bytes.count))
                formats.append(1)
            }
        }
    }

    deinit { buffer.deallocate() }

    borrowing func withPointers<R>(
        _ body: (Int32, _ values: [UnsafePointer<CChar>?], _ lengths: [Int32], _ formats: [Int32]) -> R
    ) -> R {
        let base = buffer.baseAddress
        let values = offsets.map { offset in
            offset < 0 ? nil : base.map { UnsafePointer(($0 + offset).assumingMemoryBound(to: CChar.self)) }
        }
        return body(Int32(values.count), values, lengths, formats)
    }
}
