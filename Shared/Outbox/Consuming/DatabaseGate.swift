internal import AMQP
internal import Logging
internal import Postgres
internal import ServiceLifecycle

/// Stands between a consumer and its database. When the database cannot be reached the gate closes: the consumer is
/// cancelled and lets go of its messages once; after a probe has succeeded it takes deliveries again. So an outage
/// neither parks a message nor uses up its returns.
final class DatabaseGate: Service {
    private let consumer: AMQPConsumer
    private let database: PostgresClient
    private let logger: Logger
    private let open = Mutexed(true)
    private let wake = WakeSignal()

    init(consumer: AMQPConsumer, database: PostgresClient, logger: Logger) {
        self.consumer = consumer
        self.database = database
        self.logger = logger
    }

    var isOpen: Bool { open.withLock { $0 } }

    /// The database did not answer.
    func close() {
        let wasOpen = open.withLock { open in
            defer { open = false }
            return open
        }
        if wasOpen { wake.wake() }
    }

    func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            await cancelWhenGracefulShutdown { await self.wake.wait(upTo: .seconds(60)) }
            guard !isOpen else { continue }
            logger.warning("the database is away: the consumer pauses")
            await consumer.pause()
            await probe()
            guard !Task.isShuttingDownGracefully else { return }
            open.withLock { $0 = true }
            await consumer.resume()
            logger.notice("the database is back: the consumer goes on")
        }
    }

    private func probe() async {
        var pause = DoublingPause(first: .milliseconds(50), limit: .seconds(2))
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            await Pause.sleep(pause.next())
            if (try? await database.query("SELECT 1")) != nil { return }
        }
    }
}
