import AMQP
import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

/// All that needs a broker. One after the other: some of them stop it.
@Suite(.serialized)
struct BrokerTests {
    static let loops = MultiThreadedEventLoopGroup.singleton

    /// Heartbeats are far apart unless a test is about them: a disk that stands still for two of them would end a publish
    /// as unknown.
    static func configuration(
        heartbeat: Duration = .seconds(10), frameMax: Int = 131_072, name: String = "test"
    ) -> AMQPConfiguration {
        AMQPConfiguration(
            hosts: [.init("127.0.0.1", port: BrokerFixture.shared.port)], user: BrokerFixture.user,
            password: .init(BrokerFixture.password), heartbeat: heartbeat, frameMax: frameMax, connectionName: name,
            backoff: .milliseconds(20) ... .milliseconds(500))
    }

    /// A queue of its own, bound to an exchange of its own.
    struct Place {
        let exchange: String
        let queue: String
        let topology: Topology

        init(kind: Topology.Queue.Kind = .quorum) {
            let id = UUID().uuidString.prefix(8)
            exchange = "exchange-\(id)"
            queue = "queue-\(id)"
            topology = Topology(
                exchanges: [.init(name: exchange)], queues: [.init(name: queue, kind: kind)],
                bindings: [.init(exchange: exchange, routingKey: "key.#", queue: queue)])
        }
    }

    static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = ProcessInfo.processInfo.environment["AMQP_TEST_LOG"] == nil ? .critical : .trace
        return logger
    }()
}

/// Runs a publisher and a consumer around a test and awaits their end.
func withPublisher<Result: Sendable>(
    _ configuration: AMQPConfiguration, _ topology: Topology, maxUnconfirmed: Int = 500,
    _ body: @Sendable (AMQPPublisher) async throws -> Result
) async throws -> Result {
    let publisher = AMQPPublisher(
        configuration: configuration, topology: topology, eventLoop: BrokerTests.loops.next(),
        maxUnconfirmed: maxUnconfirmed, logger: BrokerTests.logger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await publisher.run() }
        defer { group.cancelAll() }
        return try await body(publisher)
    }
}

func withConsumer<Result: Sendable>(
    _ configuration: AMQPConfiguration, _ place: BrokerTests.Place, prefetch: Int = 100,
    _ body: @Sendable (AMQPConsumer) async throws -> Result
) async throws -> Result {
    let consumer = AMQPConsumer(
        configuration: configuration, topology: place.topology, queue: place.queue, prefetch: prefetch,
        eventLoop: BrokerTests.loops.next(), logger: BrokerTests.logger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await consumer.run() }
        defer { group.cancelAll() }
        return try await body(consumer)
    }
}

/// Takes `count` deliveries and acknowledges them.
func receive(_ count: Int, from consumer: AMQPConsumer, within time: Duration = .seconds(20)) async -> [AMQPDelivery] {
    var received: [AMQPDelivery] = []
    let end = ContinuousClock.now + time
    while received.count < count, ContinuousClock.now < end {
        let batch = await consumer.nextBatch(max: count - received.count, within: .milliseconds(200))
        consumer.ack(batch)
        received += batch
    }
    return received
}

/// Waits for a condition that another process brings about.
func eventually(within time: Duration = .seconds(15), _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now + time
    while ContinuousClock.now < end {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(20))
    }
    return false
}
