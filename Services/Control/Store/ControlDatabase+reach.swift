internal import Postgres

extension ControlDatabase {
    /// Statements may take minutes here; whether there is a database at all is known much sooner.
    static func reach(_ client: PostgresClient, within patience: Duration = .seconds(15)) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.query("SELECT 1") }
            group.addTask {
                try await Task.sleep(for: patience)
                throw CommandFailure(
                    "the database does not answer: \(client.health.lastError.map { "\($0)" } ?? "no connection in time")"
                )
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
