public import AMQP
public import Logging
public import Model
public import NIOCore
public import Postgres
public import ServiceLifecycle

/// Brings what the broker gave up into the table that people look at.
///
/// An acting queue takes a message back a thousand times at most (policy `acting`), then hands it to `city.dead`. That net
/// should stay empty: poison is judged by handlers, and an outage returns a message once. What falls into it all the
/// same becomes a dead letter of the consumer that could not keep it. Inbox row and dead letter are one transaction and
/// the acknowledgement comes after its COMMIT, so a message that comes twice, or was done on its other way meanwhile,
/// changes nothing. An emergency that its producer's outbox still has is left to that way.
public struct DeadLetterDrain: Service {
    private let consumers: [String: Consumer]
    private let amqp: AMQPConsumer
    private let gate: DatabaseGate
    private let metrics: ConsumerMetrics
    private let logger: Logger

    /// - Parameters:
    ///   - consumers: all of the service's. Each one's dead letters are written by its own connections.
    ///   - database: what is asked whether the database is back after an outage.
    public init(
        of consumers: [Consumer], service: ServiceName, database: PostgresClient, configuration: AMQPConfiguration,
        topology: Topology = CityTopology.topology, eventLoop: any EventLoop, logger: Logger
    ) {
        let queue = CityTopology.deadQueue(service)
        var logger = logger
        logger[metadataKey: "consumer"] = "\(queue)"
        var configuration = configuration
        configuration.connectionName = "\(configuration.connectionName) \(queue)"
        self.consumers = Dictionary(uniqueKeysWithValues: consumers.map { ($0.queue, $0) })
        self.logger = logger
        metrics = ConsumerMetrics(consumer: queue)
        amqp = AMQPConsumer(
            configuration: configuration, topology: topology, queue: queue, prefetch: 20, eventLoop: eventLoop,
            logger: logger)
        gate = DatabaseGate(consumer: amqp, database: database, logger: logger)
    }

    public func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { try? await amqp.run() }
            group.addTask { try? await gate.run() }
            group.addTask { await drain() }
            group.addTask {
                await Pause.every(.seconds(1)) { metrics.attached(amqp.isAttached, meant: amqp.isMeant) }
            }
        }
    }

    private func drain() async {
        while !amqp.isStopped && !Task.isCancelled {
            for delivery in await amqp.nextBatch(max: 20, within: .seconds(5)) where gate.isOpen {
                if case .unreachable = await bury(delivery) {
                    gate.close()
                } else {
                    amqp.ack(delivery)
                }
            }
        }
    }

    private func bury(_ delivery: AMQPDelivery) async -> Fate {
        let death = Death(delivery.properties.headers)
        guard let queue = death?.queue, let consumer = consumers[queue] else {
            // The exchange gives a copy to every acting service; this one is another's to keep.
            logger.debug("not ours", metadata: ["queue": "\(death?.queue ?? "unknown")"])
            return .settled
        }
        for message in Message.messages(of: delivery) {
            if consumer.lane == .emergency {
                // Its other way goes on trying, and buries it if it fails too often.
                do {
                    if try await consumer.isInOutbox(message) { continue }
                } catch {
                    return .unreachable
                }
            }
            consumer.metrics.givenUp(1)
            let fate = await consumer.worker.bury(
                message, reason: "the broker gave it up: \(death?.reason ?? "unknown")")
            if case .unreachable = fate { return fate }
        }
        return .settled
    }
}

/// What the broker wrote on a message when it gave it up.
struct Death: Equatable {
    /// Where it was.
    var queue: String
    /// As RabbitMQ words it: `delivery_limit`, `rejected`, `expired`, `maxlen`.
    var reason: String

    /// The first death of those in `x-death`: a message is given up once on its way here, and the header is the
    /// broker's own. Nil for a message that never died.
    init?(_ headers: [String: AMQPValue]) {
        guard case .array(let deaths)? = headers["x-death"], case .table(let first)? = deaths.last,
            let queue = first["queue"]?.stringValue, let reason = first["reason"]?.stringValue
        else { return nil }
        self.queue = queue
        self.reason = reason
    }
}
