internal import AMQP
internal import Logging
internal import Postgres
internal import ServiceLifecycle

/// Stands between a consumer and its database. When the database cannot be reached the gate closes: the consumer is
/// cancelled and lets go of its messages once; after a probe has succeeded it takes deliveries again. So an outage
/// neither parks a message nor uses up its returns. It opens as soon as the database answers: what needs no broker does
/// not wait until the broker has understood either.
final class DatabaseGate: Service {
    private struct State {
        var isOpen = true
        var openedAt = ContinuousClock.now
        /// Outlasts a closing: a database that answers a probe and fails at the work, since its disk is full, say, must not
        /// be tried so often that the broker gives the messages up.
        var pause = DoublingPause(first: .milliseconds(50), limit: .seconds(30))
    }

    /// Open for so long, the database is sound, though nothing came that would have shown it.
    private static let soundAfter = Duration.seconds(60)

    private let consumer: AMQPConsumer
    private let database: PostgresClient
    private let logger: Logger
    private let state = Mutexed(State())
    private let wake = WakeSignal()

    init(consumer: AMQPConsumer, database: PostgresClient, logger: Logger) {
        self.consumer = consumer
        self.database = database
        self.logger = logger
    }

    var isOpen: Bool { state.withLock(\.isOpen) }

    /// The database did not answer, or answered that it does not work.
    func close() {
        let wasOpen = state.withLock { state in
            defer { state.isOpen = false }
            if state.isOpen, state.openedAt.duration(to: .now) > Self.soundAfter { state.pause.reset() }
            return state.isOpen
        }
        if wasOpen { wake.wake() }
    }

    /// Something was committed.
    func worked() {
        state.withLock { state in
            if state.isOpen { state.pause.reset() }
        }
    }

    func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            await cancelWhenGracefulShutdown { await self.wake.wait(upTo: .seconds(60)) }
            guard !isOpen else { continue }
            logger.warning("the database is away: the consumer pauses")
            // The broker may take its time for the answer.
            async let paused: Void = consumer.pause()
            await probe()
            guard !Task.isShuttingDownGracefully else { return }
            state.withLock { state in
                state.isOpen = true
                state.openedAt = .now
            }
            logger.notice("the database is back: the consumer goes on")
            await paused
            // Closed again meanwhile: the wake is kept, and the next turn begins at once.
            if isOpen { await consumer.resume() }
        }
    }

    private func probe() async {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            await Pause.sleep(state.withLock { $0.pause.next() })
            if (try? await database.query("SELECT 1")) != nil { return }
        }
    }
}
