import Logging
import Postgres
import ServiceLifecycle

/// Once a day: partitions for the coming months, and signal rows of instances that are long gone.
struct Upkeep: Service {
    let database: PostgresClient
    let logger: Logger

    func run() async throws {
        await repeatUntilShutdown(every: .seconds(86_400)) {
            do {
                try await database.query("SELECT sluice.ensure_month_partitions('dispatch.decision')")
                try await database.query(SignalStore.forget)
            } catch {
                logger.warning("the daily upkeep failed", metadata: ["error": "\(error)"])
            }
        }
    }
}
