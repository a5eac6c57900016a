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

    private struct State {
        var content = Content()
        /// Who waits for the first content; each stream ends with it.
        var waiting: [AsyncStream<Never>.Continuation] = []
    }

    private let state = Mutex(State())
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

    var current: Content { state.withLock { $0.content } }

    /// Nil if no such category was known when the cache was last read.
    func terms(_ code: String) -> CategoryTerms? { state.withLock { $0.content.terms[code] } }

    /// Returns once the categories have been read, or when the service is asked to stop. What decides by them begins after
    /// this: before it no report has a known category and no order needs a skill.
    func untilRead() async {
        let (signal, continuation) = AsyncStream.makeStream(of: Never.self)
        let isRead = state.withLock { state in
            if state.content.readAt == nil { state.waiting.append(continuation) }
            return state.content.readAt != nil
        }
        if isRead { return }
        await cancelWhenGracefulShutdown { for await _ in signal {} }
    }

    func refresh() async throws {
        let readAt = now()
        let rows = try await database.query(CategoryStore.all)
        var terms: [String: CategoryTerms] = [:]
        for row in rows {
            let category = try CategoryStore.terms(row)
            terms[category.code] = category
        }
        let waiting = state.withLock { state in
            state.content = Content(terms: terms, readAt: readAt)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.finish() }
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
