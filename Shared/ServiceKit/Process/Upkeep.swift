import Logging
import Model
import Postgres
import ServiceLifecycle
import Synchronization

/// Forgets idempotency keys after their seven days.
struct IdempotencyPurge: Service {
    let service: ServiceName
    let database: PostgresClient
    let logger: Logger

    func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(3_600)) }
            if Task.isShuttingDownGracefully || Task.isCancelled { return }
            do {
                var purged = 0
                repeat {
                    let rows = try await database.query("SELECT \(identifier: service.schema).idempotency_purge()")
                    purged = try rows.first?.decode(0, as: Int.self) ?? 0
                } while purged >= 5_000 && !Task.isShuttingDownGracefully
            } catch {
                logger.warning("Old idempotency keys could not be purged", metadata: ["error": "\(error)"])
            }
        }
    }
}

/// Gives memory that a storm has freed back to the system; the allocator itself keeps it.
struct MemoryTrim: Service {
    func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(60)) }
            if Task.isShuttingDownGracefully || Task.isCancelled { return }
            // A few milliseconds at most on heaps of our size; no lock that a request could wait for long.
            Allocator.trim(keep: 128 << 10)
        }
    }
}

/// Whether every view that we read shows its permanent row to the role that reads it. Asked until it does, then never
/// again.
final class ViewCheck: Sendable {
    private let views: [String]
    private let database: PostgresClient
    private let isFine = Mutex(false)

    init(views: [String], database: PostgresClient) {
        self.views = views
        self.database = database
    }

    func answer() async -> HealthCheck.Answer {
        if isFine.withLock({ $0 }) { return .ok }
        do {
            let missing = try await database.query(
                SentinelStore.missing(views), scope: .none)
            let names = try missing.column(String.self)
            if !names.isEmpty { return .failed("cannot be read: \(names.joined(separator: ", "))") }
            isFine.withLock { $0 = true }
            return .ok
        } catch {
            return .failed("\(error)")
        }
    }
}
