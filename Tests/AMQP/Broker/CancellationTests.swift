import AMQP
import Foundation
import NIOPosix
import Testing

extension BrokerTests {
    /// A caller may be cancelled at any of its waits; the wait ends, and nobody else notices.
    @Suite struct Cancellation {
        /// Cancels `work` a moment after it has begun and waits for its end. That it ends at all is the point: the broker
        /// stands still and heartbeats are far apart, so nothing else would end it.
        private func cancelled(_ work: @escaping @Sendable () async -> Void) async {
            let task = Task { await work() }
            try? await Task.sleep(for: .milliseconds(50))
            task.cancel()
            await task.value
        }

        @Test(.timeLimit(.minutes(5))) func everyWaitOnABrokerThatStandsStillCanBeCancelled() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            let settings = configuration(heartbeat: .seconds(120))
            try await withPublisher(settings, place.topology, maxUnconfirmed: 1) { publisher in
                try await withConsumer(settings, place) { consumer in
                    try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                    try #require(await consumer.waitUntilAttached(within: .seconds(10)))
                    try await broker.freeze()
                    defer { broker.thaw() }
                    // One in flight, one in line behind it.
                    for _ in 0..<2 {
                        await cancelled {
                            let outcome = await publisher.publish(
                                exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                            #expect(outcome == .unknown)
                        }
                    }
                    await cancelled { #expect(await consumer.nextBatch(max: 1).isEmpty) }
                    await cancelled { for await _ in consumer.deliveries { Issue.record("nothing was sent") } }
                    broker.thaw()
                    let afterwards = await publisher.publish(
                        exchange: place.exchange, routingKey: "key", properties: .init(messageID: "after"), body: [])
                    #expect(afterwards == .confirmed)
                    let received = await receive(3, from: consumer, within: .seconds(2))
                    #expect(received.contains { $0.properties.messageID == "after" }, "nothing is stuck behind them")
                }
            }
        }

        @Test(.timeLimit(.minutes(5))) func waitingForABrokerThatIsNotThereCanBeCancelled() async throws {
            let nowhere = AMQPConfiguration(
                hosts: [.init("127.0.0.1", port: 1)], user: "nobody", password: .init("nothing"),
                connectionName: "test")
            let place = Place()
            try await withPublisher(nowhere, place.topology) { publisher in
                await cancelled { #expect(await !publisher.waitUntilConnected(within: .seconds(3_600))) }
                try await withConsumer(nowhere, place) { consumer in
                    await cancelled { #expect(await !consumer.waitUntilAttached(within: .seconds(3_600))) }
                    await cancelled { #expect(await consumer.nextBatch(max: 1).isEmpty) }
                }
            }
        }

        /// Of each of its phases: connecting, declaring, attached.
        @Test(.timeLimit(.minutes(5)), arguments: [0, 1, 3, 10, 30, 100])
        func aConsumersLifeEndsWheneverItIsCancelled(milliseconds: Int) async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let consumer = AMQPConsumer(
                configuration: configuration(), topology: place.topology, queue: place.queue, prefetch: 1,
                eventLoop: BrokerTests.loops.next(), logger: BrokerTests.logger)
            let publisher = AMQPPublisher(
                configuration: configuration(), topology: place.topology, eventLoop: BrokerTests.loops.next(),
                logger: BrokerTests.logger)
            let lives = [Task { try await consumer.run() }, Task { try await publisher.run() }]
            try await Task.sleep(for: .milliseconds(milliseconds))
            for life in lives { life.cancel() }
            for life in lives { _ = await life.result }
            #expect(consumer.isStopped)
            #expect(!publisher.state.isConnected)
        }
    }
}
