internal import FoundationEssentials
internal import Postgres

/// Writes rows of the sample city as `sluice_control`. What is there stays as it is, so that a second run adds nothing
/// and takes nobody's changes back.
struct SampleRows {
    let connection: ScriptConnection

    /// - Parameter statement: takes the rows as JSON in `$1`, ends with ON CONFLICT DO NOTHING.
    /// - Returns: how many rows are new.
    func add(_ rows: [some Encodable], _ statement: String, _ more: [String?] = []) async throws -> Int {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let json = String(decoding: try encoder.encode(rows), as: UTF8.self)
        let answer = try await connection.rows(
            "WITH added AS (\(statement) RETURNING 1) SELECT count(*) FROM added", [json] + more)
        return Int((answer.first?.first ?? nil) ?? "") ?? 0
    }
}
