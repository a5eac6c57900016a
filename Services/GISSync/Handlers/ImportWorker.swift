import FoundationEssentials
import Logging
import Model
import Postgres
import ServiceLifecycle

/// Carries on the runs that wait, also those that an instance left behind when it ended, and closes those whose sender
/// vanished while staging.
struct ImportWorker: Service {
    let importer: FeatureImporter
    let database: PostgresClient
    let logger: Logger
    var pause: Duration = .milliseconds(500)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await carryOn()
                } catch is CancellationError {
                    return
                } catch {
                    logger.warning("imports cannot be looked for", metadata: ["error": "\(error)"])
                }
                try? await Task.sleep(for: pause)
            }
        }
    }

    /// One round: every run as far as it goes. One that cannot go on delays no other.
    func carryOn() async throws {
        for id in try await database.query(ImportStore.abandoned).column(UUID.self) {
            _ = try await database.segment(
                ImportStore.close(id, error: "the sender vanished before the file was whole"))
        }
        for id in try await database.query(ImportStore.waiting).column(UUID.self) {
            try Task.checkCancellation()
            do {
                try await importer.carryOn(id)
            } catch {
                try Task.checkCancellation()
                // The run stays where it is and is found again.
                logger.warning(
                    "an import waits", metadata: ["import": "\(Identifier<Area>(id))", "error": "\(error)"])
            }
        }
    }
}
