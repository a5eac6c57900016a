import FoundationEssentials
import Logging
import Model
import Postgres
import Rules
import ServiceLifecycle
import Synchronization

/// The categories as triage and claims need them, read anew every few seconds. Each decision names the version that it
/// used, so a change that comes a moment later is no secret.
final class CategoryCache: Service, Sendable {
    struct Content: Sendable {
        var terms: [String: CategoryTerms] = [:]
        var readAt: Timestamp?
    }

    private let content = Mutex(Content())
    private let database: PostgresClient
    private let now: @Sendable () -> Timestamp
    private let interval: Duration
    private let logger: Logger

    init(
        database: PostgresClient, now: @escaping @Sendable () -> Timestamp, interval: Duration = .seconds(5),
        logger: Logger
    ) {
        self.database = database
        self.now = now
        self.interval = interval
        self.logger = logger
    }

    var current: Content { content.withLock { $0 } }

    /// Nil if no such category was known when the cache was last read.
    func terms(_ code: String) -> CategoryTerms? { content.withLock { $0.terms[code] } }

    func refresh() async throws {
        let readAt = now()
        let rows = try await database.query(CategoryStore.all)
        var terms: [String: CategoryTerms] = [:]
        for row in rows {
            let category = try CategoryStore.terms(row)
            terms[category.code] = category
        }
        content.withLock { content in content = Content(terms: terms, readAt: readAt) }
    }

    func run() async throws {
        await repeatUntilShutdown(every: interval) {
            do {
                try await self.refresh()
            } catch {
                self.logger.warning("categories could not be read", metadata: ["error": "\(error)"])
            }
        }
    }
}
