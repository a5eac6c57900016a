import Logging
import Postgres
import ServiceLifecycle

/// Forgets what nobody needs any more, and makes next months' partitions.
struct Housekeeping: Service {
    let database: PostgresClient
    let logger: Logger

    func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            // Not at the very start, when everything else wants the database.
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(300)) }
            if Task.isShuttingDownGracefully || Task.isCancelled { return }
            do {
                try await BudgetStore(database: database).purge()
                try await SessionStore(database: database).purge()
                _ = try await database.query("SELECT sluice.ensure_month_partitions('intake.report')")
            } catch {
                logger.warning("housekeeping failed; it is tried again", metadata: ["error": "\(error)"])
            }
        }
    }
}
