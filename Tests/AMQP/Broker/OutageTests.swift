import AMQP
import Foundation
import Testing

extension BrokerTests {
    @Suite struct Outages {
        @Test("a stopped broker: publishes end as unknown within two heartbeats (rabbitmq/rabbitmq-server#14589)")
        func nothingHangsOnAStoppedBroker() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            try await withPublisher(configuration(heartbeat: .seconds(1)), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                try await broker.freeze()
                defer { broker.thaw() }
                await withTaskGroup(of: PublishOutcome.self) { group in
                    for number in 0..<50 {
                        group.addTask {
                            await publisher.publish(
                                exchange: place.exchange, routingKey: "key", properties: .init(messageID: "\(number)"),
                                body: [])
                        }
                    }
                    // That the group ends at all is the point; the state says why it did.
                    for await outcome in group { #expect(outcome == .unknown) }
                }
                #expect(!publisher.state.isConnected)
                #expect(publisher.unconfirmed == 0)
                await #expect(throws: AMQPError.self) { try await publisher.readyCount(queue: place.queue) }
                let meanwhile = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                #expect(meanwhile == .unknown)
                broker.thaw()
                #expect(await publisher.waitUntilConnected(within: .seconds(20)))
                let afterwards = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                #expect(afterwards == .confirmed)
            }
        }

        @Test("a stop while the broker is stopped ends all the same (rabbitmq/amqp091-go#122)")
        func closingAStoppedBrokerEnds() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            try await withConsumer(configuration(heartbeat: .seconds(20)), place) { consumer in
                try #require(await consumer.waitUntilAttached(within: .seconds(10)))
                try await withPublisher(configuration(heartbeat: .seconds(20)), place.topology) { publisher in
                    try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                    try await broker.freeze()
                }
            }
            broker.thaw()
        }

        @Test("a killed broker: waiters hear at once, all is restored, twice (mosquito/aio-pika#231)")
        func consumersComeBackWholeAfterACrash() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            try await ConsumerLife.publish(40, to: place)
            try await broker.writeDown()
            try await withPublisher(configuration(heartbeat: .seconds(30)), place.topology) { publisher in
                try await withConsumer(configuration(heartbeat: .seconds(30)), place, prefetch: 3) { consumer in
                    for round in 1...2 {
                        try #require(await publisher.waitUntilConnected(within: .seconds(30)))
                        let held = await consumer.nextBatch(max: 1, within: .seconds(30))
                        #expect(held.count == 1)
                        try await broker.freeze()
                        async let outcome = publisher.publish(
                            exchange: place.exchange, routingKey: "key", properties: .init(messageID: "lost \(round)"),
                            body: [])
                        async let question = #expect(throws: AMQPError.self) {
                            try await publisher.readyCount(queue: place.queue)
                        }
                        #expect(await eventually { publisher.unconfirmed == 1 })
                        try await broker.crash()
                        // Long before two heartbeats of 30 s.
                        #expect(await outcome == .unknown)
                        _ = await question
                        #expect(await eventually { !consumer.isAttached })
                        try await broker.start()
                        #expect(await publisher.waitUntilConnected(within: .seconds(60)))
                        #expect(await consumer.waitUntilAttached(within: .seconds(60)))
                        let listed = try await broker.control("-q", "list_consumers", "queue_name", "prefetch_count")
                        #expect(listed.contains("\(place.queue)\t3"), "as the broker sees it: \(listed)")
                        // Of a channel that is gone; it settles nothing.
                        consumer.ack(held)
                        let again = await consumer.nextBatch(max: 100, within: .seconds(20))
                        #expect(!again.isEmpty && again.count <= 3)
                        consumer.ack(again)
                    }
                    let rest = await receive(34, from: consumer)
                    #expect(rest.count >= 34, "nothing that was not acknowledged is lost")
                }
            }
        }

        /// Half a million with SLUICE_LONG_TESTS, which `deploy/test full` sets.
        @Test(
            "a backlog through two crashes: no more comes than was asked for, and memory stays flat (zulip/zulip#20243)"
        )
        func aBacklogDoesNotFloodTheConsumer() async throws {
            let count = ProcessInfo.processInfo.environment["SLUICE_LONG_TESTS"] == nil ? 20_000 : 500_000
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            for _ in 0..<count / 5_000 { try await ConsumerLife.publish(5_000, to: place) }
            try await broker.writeDown()
            try await withConsumer(configuration(heartbeat: .seconds(30)), place, prefetch: 50) { consumer in
                #expect(await consumer.nextBatch(max: 1_000, within: .seconds(60)).count <= 50)
                let before = Self.anonymousKilobytes()
                for _ in 1...2 {
                    try await broker.crash()
                    #expect(await eventually { !consumer.isAttached })
                    try await broker.start()
                    #expect(await consumer.waitUntilAttached(within: .seconds(120)))
                    let listed = try await broker.control("-q", "list_consumers", "queue_name", "prefetch_count")
                    #expect(listed.contains("\(place.queue)\t50"), "as the broker sees it: \(listed)")
                    let first = await consumer.nextBatch(max: 1_000, within: .seconds(60))
                    #expect(!first.isEmpty && first.count <= 50)
                    // Nobody takes any more for a while: what the broker would push would be here by then.
                    try await Task.sleep(for: .seconds(2))
                    #expect(await consumer.nextBatch(max: 1_000, within: .zero).count <= 50 - first.count)
                }
                #expect(Self.anonymousKilobytes() - before < 32_768)
            }
        }

        private static func anonymousKilobytes() -> Int {
            let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
            return line?.split(separator: " ").compactMap { Int($0) }.first ?? 0
        }

        @Test(
            "a memory alarm blocks publishers, is seen, and stops no acknowledgement (spring-projects/spring-amqp#673)")
        func anAlarmIsShownAndConsumersGoOn() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            try await ConsumerLife.publish(100, to: place)
            try await withPublisher(configuration(heartbeat: .seconds(3)), place.topology) { publisher in
                try await withConsumer(configuration(), place, prefetch: 5) { consumer in
                    try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                    let connected = await publisher.publish(
                        exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                    #expect(connected == .confirmed)
                    try await broker.control("set_vm_memory_high_watermark", "0.0001")
                    let probe = await publisher.publish(
                        exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                    #expect(probe == .unknown || probe == .confirmed)
                    #expect(await eventually(within: .seconds(5)) { publisher.state.isBlocked })
                    let refused = await publisher.publish(
                        exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                    #expect(refused == .unknown)
                    #expect(await receive(100, from: consumer).count == 100, "acknowledgements go on")
                    try await broker.control("set_vm_memory_high_watermark", "0.4")
                    #expect(await eventually { publisher.state == .connected })
                    let afterwards = await publisher.publish(
                        exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                    #expect(afterwards == .confirmed)
                }
            }
        }
    }
}
