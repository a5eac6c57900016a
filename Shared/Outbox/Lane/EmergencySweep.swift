internal import Logging
internal import Postgres
internal import ServiceLifecycle

/// Marks the emergencies that every named inbox shows, and deletes those that the broker has confirmed as well.
struct EmergencySweep: Service, LaneMember {
    let outbox: EmergencyOutbox
    let database: PostgresClient
    let logger: Logger

    var isLane: Bool { true }

    /// Each a transaction of its own, so that one which fails keeps none of the others: a consumer's schema may not be
    /// there yet on a city's first start, and many rows that their consumers lack may be more than a second's look.
    var parts: [(name: String, statement: SQL)] {
        var all: [(name: String, statement: SQL)] = []
        if let mark = outbox.markConsumed() { all.append((name: "consumed", statement: mark)) }
        all.append((name: "done", statement: outbox.deleteDone()))
        all.append((name: "canaries", statement: outbox.deleteCanaries()))
        return all
    }

    func run() async throws {
        let parts = parts
        var failing: Set<String> = []
        var turn = 0
        await Pause.every(.milliseconds(250)) {
            // What is consumed is marked at once, since it is looked for in vain until then; what is done may stay a second.
            let due = turn % 4 == 0 ? parts : parts.filter { $0.name == "consumed" }
            turn += 1
            for (name, statement) in due {
                do {
                    _ = try await database.segment([RoutineOutbox.pinnedPlans, statement])
                    failing.remove(name)
                } catch {
                    guard failing.insert(name).inserted else { continue }
                    logger.warning(
                        "the emergency outbox cannot be swept",
                        metadata: ["rows": "\(name)", "error": "\(Failure.describe(error))"])
                }
            }
        }
    }
}
