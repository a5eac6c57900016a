import CLibPQ
import Postgres

/// A client that stops in the middle of a segment: its statement has arrived, its sync never does.
final class HalfSentSegment {
    private let connection: OpaquePointer?

    init(port: Int, database: String, statement: String) throws {
        func quoted(_ value: String) -> String {
            "'" + value.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
        }
        connection = PQconnectdb(
            "host=127.0.0.1 port=\(port) dbname=\(database) user=admin password=\(quoted(TestServer.password))")
        guard PQenterPipelineMode(connection) == 1,
            PQsendQueryParams(connection, statement, 0, nil, nil, nil, nil, 0) == 1,
            // Asks the server for an answer, so that it has certainly read the statement, but commits nothing.
            PQsendFlushRequest(connection) == 1, PQflush(connection) == 0
        else { throw TestFailure("half a segment could not be sent") }
        PQclear(PQgetResult(connection))
    }

    func close() { PQfinish(connection) }
}
