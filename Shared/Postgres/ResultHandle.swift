import CLibPQ
import Glibc

/// The one owner of a `PGresult`.
final class ResultHandle: Sendable {
    /// A finished result is never changed, and libpq allows any number of threads to read one ("PGresult objects are
    /// normally read-only after creation, and so can be passed around freely between threads", libpq, 34.20).
    nonisolated(unsafe) private let result: OpaquePointer

    init(_ result: OpaquePointer) { self.result = result }

    deinit { PQclear(result) }

    enum Status {
        case command, rows, failed, skipped, sync, copyIn, copyOut, other
    }

    var status: Status {
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: .command
        case PGRES_TUPLES_OK: .rows
        case PGRES_FATAL_ERROR: .failed
        case PGRES_PIPELINE_ABORTED: .skipped
        case PGRES_PIPELINE_SYNC: .sync
        case PGRES_COPY_IN: .copyIn
        case PGRES_COPY_OUT: .copyOut
        default: .other
        }
    }

    var rowCount: Int { Int(PQntuples(result)) }
    var columnCount: Int { Int(PQnfields(result)) }
    var byteCount: Int { PQresultMemorySize(result) }

    var columns: [String] {
        (0..<columnCount).map { PQfname(result, Int32($0)).map { String(cString: $0) } ?? "" }
    }

    func column(named name: String) -> Int? {
        name.withCString { name in
            (0..<columnCount).first { index in
                PQfname(result, Int32(index)).map { strcmp($0, name) == 0 } ?? false
            }
        }
    }

    /// `INSERT 0 3`.
    var commandTag: String { PQcmdStatus(result).map { String(cString: $0) } ?? "" }

    var affected: Int { PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0 }

    /// The caller has checked the bounds; the cell lives as long as this object.
    func cell(row: Int, column: Int) -> PostgresCell {
        guard PQgetisnull(result, Int32(row), Int32(column)) == 0,
            let value = PQgetvalue(result, Int32(row), Int32(column))
        else { return PostgresCell(bytes: nil) }
        let count = Int(PQgetlength(result, Int32(row), Int32(column)))
        return UnsafeRawPointer(value).withMemoryRebound(to: UInt8.self, capacity: count) {
            PostgresCell(bytes: UnsafeBufferPointer(start: $0, count: count))
        }
    }

    private func field(_ code: Int32) -> String? {
        PQresultErrorField(result, code).map { String(cString: $0) }
    }

    /// The error that a failed result carries. Without an SQLSTATE it is libpq's own: the connection broke.
    var error: PostgresError {
        guard let sqlState = field(DiagnosticField.sqlState) else {
            let message = PQresultErrorMessage(result).map { String(cString: $0) } ?? ""
            return PostgresError(.connection, message.split(separator: "\n").joined(separator: "; "))
        }
        let severity = field(DiagnosticField.severity)
        let message = PostgresError.redacted(field(DiagnosticField.message) ?? "", sqlState: sqlState)
        var error = PostgresError(
            PostgresError.kind(sqlState: sqlState, severity: severity), message, sqlState: sqlState,
            severity: severity, constraint: field(DiagnosticField.constraint), schema: field(DiagnosticField.schema),
            table: field(DiagnosticField.table), column: field(DiagnosticField.column))
        // 0A000 means many things; only this function of the server means "the result's shape has changed".
        error.isStalePlan =
            sqlState == "26000"
            || sqlState == "0A000" && field(DiagnosticField.sourceFunction) == "RevalidateCachedQuery"
        return error
    }
}

extension PostgresError {
    static func kind(sqlState: String, severity: String?) -> Kind {
        // After FATAL the session is gone, whatever the reason.
        if severity == "FATAL" || severity == "PANIC" { return .connection }
        switch sqlState {
        case "25006": return .readOnly
        case "25P02": return .skipped
        case "57014": return .timeout
        default: return .server
        }
    }
}
