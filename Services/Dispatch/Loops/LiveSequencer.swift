import Logging
import Model
import Postgres
import ServiceLifecycle

/// Gives live events their numbers after they have committed, at most every 20 ms, and says so to all instances. One
/// instance at a time numbers; which one does not matter.
struct LiveSequencer: Service {
    let database: PostgresClient
    let wake: Wake
    let now: @Sendable () -> Timestamp
    /// The least pause between two numberings.
    let pause: Duration
    /// Rows of another instance that died before it numbered them are found after this.
    let interval: Duration
    let logger: Logger

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await repeatUntilShutdown(every: interval) { wake.signal() }
                wake.finish()
            }
            group.addTask {
                await repeatUntilShutdown(every: .seconds(60)) { await purge() }
            }
            for await _ in wake.signals {
                do {
                    while try await number() >= 1_000 {}
                } catch {
                    logger.warning("live events could not be numbered", metadata: ["error": "\(error)"])
                }
                if Task.isShuttingDownGracefully { break }
                await cancelWhenGracefulShutdown { try? await Task.sleep(for: pause) }
            }
            group.cancelAll()
        }
    }

    /// - Returns: how many rows got a number.
    @discardableResult
    func number() async throws -> Int {
        let numbered = try await database.transaction { transaction -> Int in
            let isMine: Bool = try await transaction.query(LiveStore.tryToNumber).column()[0]
            guard isMine else {
                try await transaction.rollback()
                return 0
            }
            return try await transaction.commit([LiveStore.number(limit: 1_000)])[0].affected
        }
        // A hint in a transaction of its own: inside the other it would hold a lock of the whole server at COMMIT.
        if numbered > 0 { try await database.segment(LiveStore.notify) }
        return numbered
    }

    private func purge() async {
        do {
            // A client that was away for an hour is told to reload; a little longer is kept for slow ones.
            let limit = now() - .seconds(3_900)
            while try await database.query(LiveStore.purge(before: limit, limit: 5_000)).affected == 5_000 {}
        } catch {
            logger.warning("old live events could not be purged", metadata: ["error": "\(error)"])
        }
    }
}
