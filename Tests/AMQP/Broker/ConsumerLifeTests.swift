import AMQP
import NIOPosix
import ServiceLifecycle
import Testing

extension BrokerTests {
    @Suite struct ConsumerLife {
        static func publish(_ count: Int, to place: Place) async throws {
            try await withPublisher(configuration(), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                await withTaskGroup(of: Void.self) { group in
                    for number in 0..<count {
                        group.addTask {
                            let outcome = await publisher.publish(
                                exchange: place.exchange, routingKey: "key", properties: .init(messageID: "\(number)"),
                                body: [7])
                            #expect(outcome == .confirmed)
                        }
                    }
                }
            }
        }

        @Test func theQueueIsNeverDrawnOnBeyondThePrefetch() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await Self.publish(50, to: place)
            try await withConsumer(configuration(), place, prefetch: 7) { consumer in
                let first = await consumer.nextBatch(max: 100, within: .seconds(10))
                let more = await consumer.nextBatch(max: 100, within: .milliseconds(500))
                #expect(first.count + more.count == 7)
                consumer.ack(first + more)
                #expect(await receive(43, from: consumer).count == 43)
            }
        }

        @Test func whatIsGivenBackComesAgainAndIsCounted() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await Self.publish(1, to: place)
            try await withConsumer(configuration(), place) { consumer in
                for round in 0..<3 {
                    let delivery = try #require(await consumer.nextBatch(max: 1, within: .seconds(10)).first)
                    #expect(delivery.deliveryCount == round)
                    #expect(delivery.redelivered == (round > 0))
                    consumer.nack(delivery, requeue: true)
                }
                #expect(await receive(1, from: consumer).count == 1)
            }
        }

        @Test func acknowledgingUpToOneSettlesAllOlderOnes() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await Self.publish(10, to: place)
            try await withConsumer(configuration(), place, prefetch: 5) { consumer in
                var seen = 0
                while seen < 10 {
                    let batch = await consumer.nextBatch(max: 5, within: .seconds(10))
                    try #require(!batch.isEmpty)
                    seen += batch.count
                    consumer.ack(upTo: try #require(batch.last))
                }
                #expect(seen == 10)
                // While the consumer lives: one that is cancelled takes its last acknowledgements with it. And a quorum
                // queue tells its length every five seconds only.
                var left = ""
                for _ in 0..<60 where !left.contains("\(place.queue)\t0") {
                    left = try await BrokerFixture.shared.control("-q", "list_queues", "name", "messages")
                }
                #expect(left.contains("\(place.queue)\t0"))
            }
        }

        @Test func aPausedConsumerLetsGoOfItsMessagesAndResumes() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await Self.publish(20, to: place)
            try await withConsumer(configuration(), place, prefetch: 10) { consumer in
                let held = await consumer.nextBatch(max: 3, within: .seconds(10))
                #expect((1...3).contains(held.count))
                await consumer.pause()
                #expect(!consumer.isAttached)
                #expect(!consumer.isMeant)
                #expect(consumer.state == .connected)
                #expect(await consumer.nextBatch(max: 10, within: .milliseconds(200)).isEmpty)
                // Settling what was let go of is harmless.
                consumer.ack(held)
                try await withPublisher(configuration(), place.topology) { publisher in
                    try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                    #expect(try await eventually { try await publisher.readyCount(queue: place.queue).count == 20 })
                }
                await consumer.resume()
                #expect(consumer.isAttached)
                #expect(await receive(20, from: consumer).count == 20)
            }
        }

        @Test func thePrefetchChangesWithoutLettingGo() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await Self.publish(30, to: place)
            try await withConsumer(configuration(), place, prefetch: 2) { consumer in
                let held = await consumer.nextBatch(max: 10, within: .seconds(10))
                #expect(held.count <= 2)
                await consumer.setPrefetch(11)
                let listed = try await BrokerFixture.shared.control(
                    "-q", "list_consumers", "queue_name", "prefetch_count")
                #expect(listed.contains("\(place.queue)\t11"), "as the broker sees it: \(listed)")
                consumer.ack(held)
                let rest = await receive(30 - held.count, from: consumer)
                #expect(rest.count == 30 - held.count)
                #expect(rest.allSatisfy { !$0.redelivered })
            }
        }

        @Test(
            "a queue deleted under a live consumer is noticed and rebuilt (ruby-amqp/bunny#681)",
            arguments: [Topology.Queue.Kind.classic, .quorum])
        func aConsumerOutlivesItsQueue(kind: Topology.Queue.Kind) async throws {
            try await BrokerFixture.shared.start()
            let place = Place(kind: kind)
            try await Self.publish(5, to: place)
            try await withConsumer(configuration(), place, prefetch: 2) { consumer in
                #expect(await receive(1, from: consumer).count == 1)
                try await BrokerFixture.shared.control("delete_queue", place.queue)
                // Whether the gap was seen depends on the pause; that it ends does not.
                #expect(await eventually { consumer.isAttached })
                try await Self.publish(3, to: place)
                #expect(await receive(3, from: consumer).filter { !$0.redelivered }.count == 3)
            }
        }

        @Test("an overdue acknowledgement closes the channel; the consumer comes back (hnaderi/lepus#145)")
        func aConsumerOutlivesItsChannel() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await Self.publish(1, to: place)
            try await BrokerFixture.shared.control("eval", "application:set_env(rabbit, consumer_timeout, 3000).")
            try await withConsumer(configuration(), place) { consumer in
                let late = try #require(await consumer.nextBatch(max: 1, within: .seconds(10)).first)
                let again = try #require(await consumer.nextBatch(max: 1, within: .seconds(40)).first)
                #expect(again.properties == late.properties || again.deliveryCount > 0)
                consumer.ack(late)
                consumer.ack(again)
                #expect(consumer.state == .connected)
                #expect(await consumer.nextBatch(max: 1, within: .milliseconds(300)).isEmpty)
            }
            // Everybody else has half an hour, as usual.
            try await BrokerFixture.shared.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
        }

        /// M30: nsweeting/rabbit#102. Cancelled first, then what is in hand is finished.
        @Test func aGracefulStopFinishesWhatIsInHandAndReturnsTheRest() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await Self.publish(20, to: place)
            let consumer = AMQPConsumer(
                configuration: configuration(), topology: place.topology, queue: place.queue, prefetch: 10,
                eventLoop: BrokerTests.loops.next(), logger: BrokerTests.logger)
            let group = ServiceGroup(services: [consumer], logger: BrokerTests.logger)
            async let running: Void = group.run()
            let held = await consumer.nextBatch(max: 4, within: .seconds(10))
            await group.triggerGracefulShutdown()
            while !consumer.isStopped { await Task.yield() }
            #expect(await consumer.nextBatch(max: 10).isEmpty, "the line has ended")
            // A handler that takes its time: the stop waits for it.
            try await Task.sleep(for: .milliseconds(300))
            consumer.ack(held)
            try await running
            try await withPublisher(configuration(), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                #expect(
                    try await eventually { try await publisher.readyCount(queue: place.queue).count == 20 - held.count }
                )
            }
        }

        /// M30: MassTransit/MassTransit#1478. The transport closed before everything was sent.
        @Test func aGracefulStopOfAPublisherWaitsForItsConfirms() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let publisher = AMQPPublisher(
                configuration: configuration(), topology: place.topology, eventLoop: BrokerTests.loops.next(),
                maxUnconfirmed: 10, logger: BrokerTests.logger)
            let group = ServiceGroup(services: [publisher], logger: BrokerTests.logger)
            async let running: Void = group.run()
            try #require(await publisher.waitUntilConnected(within: .seconds(10)))
            let outcomes = await withTaskGroup(of: PublishOutcome.self) { tasks in
                for number in 0..<200 {
                    tasks.addTask {
                        await publisher.publish(
                            exchange: place.exchange, routingKey: "key", properties: .init(messageID: "\(number)"),
                            body: [])
                    }
                }
                while publisher.unconfirmed < 100 { await Task.yield() }
                await group.triggerGracefulShutdown()
                return await tasks.reduce(into: []) { $0.append($1) }
            }
            try await running
            #expect(outcomes.count == 200)
            #expect(outcomes.filter { $0 == .confirmed }.count >= 100)
            let afterwards = await publisher.publish(
                exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
            #expect(afterwards == .unknown)
        }
    }
}
