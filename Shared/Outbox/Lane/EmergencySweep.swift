internal import Logging
internal import Postgres
internal import ServiceLifecycle

/// Marks the emergencies that every named inbox shows, and deletes those that the broker has confirmed as well.
struct EmergencySweep: Service, LaneMember {
    let outbox: EmergencyOutbox
    let database: PostgresClient
    let logger: Logger

    var isLane: Bool { true }

    func run() async throws {
        var wasWell = true
        await Pause.every(.milliseconds(250)) {
            do {
                // Apart, since a consumer's schema may not be there yet on a city's first start.
                if let mark = outbox.markConsumed() { _ = try await database.query(mark) }
                _ = try await database.segment([outbox.deleteDone(), outbox.deleteCanaries()])
                wasWell = true
            } catch {
                if wasWell {
                    logger.warning(
                        "the emergency outbox cannot be swept", metadata: ["error": "\(Failure.describe(error))"])
                }
                wasWell = false
            }
        }
    }
}
