import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import AMQP

extension BrokerTests {
    /// What a line, or a broker behind it, may do short of ending.
    @Suite struct DisturbedLines {
        static func through(_ proxy: FrameProxy, heartbeat: Duration = .seconds(1)) -> AMQPConfiguration {
            var configuration = configuration(heartbeat: heartbeat)
            configuration.hosts = [.init("127.0.0.1", port: proxy.port)]
            return configuration
        }

        static func publish(_ publisher: AMQPPublisher, _ place: Place, _ id: String = "m") async -> PublishOutcome {
            await publisher.publish(
                exchange: place.exchange, routingKey: "key", properties: .init(messageID: id), body: [1])
        }

        @Test(
            "a broker that lives but does not confirm: unknown in time, then a new channel (rabbitmq/rabbitmq-server#1782)"
        )
        func missingConfirmsEndTheChannelAndNotTheConnection() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let proxy = try await FrameProxy.start(to: BrokerFixture.shared.port)
            try await withPublisher(Self.through(proxy), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                proxy.judge { $0.methodID == .basicAck ? .drop : .pass }
                #expect(await Self.publish(publisher, place) == .unknown)
                proxy.judge { _ in .pass }
                #expect(await publisher.waitUntilConnected(within: .seconds(10)))
                #expect(await Self.publish(publisher, place) == .confirmed)
            }
            try await proxy.stop()
        }

        @Test("a confirm that comes after its waiter left harms nobody, a close included (rabbitmq/amqp091-go#46)")
        func lateConfirmsAreHarmless() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let proxy = try await FrameProxy.start(to: BrokerFixture.shared.port)
            try await withPublisher(Self.through(proxy, heartbeat: .seconds(30)), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                proxy.judge { $0.methodID == .basicAck ? .hold : .pass }
                let impatient = Task { await Self.publish(publisher, place, "1") }
                #expect(await eventually { publisher.unconfirmed == 1 })
                impatient.cancel()
                #expect(await impatient.value == .unknown)
                proxy.release()
                #expect(await Self.publish(publisher, place, "2") == .confirmed)
                proxy.judge { $0.methodID == .basicAck ? .hold : .pass }
                async let left = Self.publish(publisher, place, "3")
                #expect(await eventually { publisher.unconfirmed == 1 })
                _ = Task {
                    try await Task.sleep(for: .milliseconds(50))
                    proxy.release()
                }
                _ = await left
            }
            try await proxy.stop()
        }

        @Test("a line that goes dead without a word is given up after two heartbeats (alanxz/rabbitmq-c#109)")
        func aDeadLineIsNoticed() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let proxy = try await FrameProxy.start(to: BrokerFixture.shared.port)
            try await withPublisher(Self.through(proxy), place.topology) { publisher in
                try await withConsumer(Self.through(proxy), place) { consumer in
                    for _ in 1...2 {
                        try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                        try #require(await consumer.waitUntilAttached(within: .seconds(10)))
                        proxy.judge { _ in .drop }
                        #expect(await eventually { !publisher.state.isConnected && !consumer.isAttached })
                        #expect(await Self.publish(publisher, place) == .unknown)
                        proxy.judge { _ in .pass }
                    }
                    #expect(await publisher.waitUntilConnected(within: .seconds(20)))
                    #expect(await Self.publish(publisher, place) == .confirmed)
                    #expect(await receive(1, from: consumer).count == 1)
                }
            }
            try await proxy.stop()
        }

        @Test("an idle connection outlives many heartbeats (amqp-rs/lapin#401)")
        func heartbeatsKeepAnIdleConnection() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let proxy = try await FrameProxy.start(to: BrokerFixture.shared.port)
            let connects = NIOLockedValueBox(0)
            proxy.judge { frame in
                if frame.methodID == .connectionOpenOK { connects.withLockedValue { $0 += 1 } }
                return .pass
            }
            try await withPublisher(Self.through(proxy), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                try await Task.sleep(for: .seconds(5))
                #expect(await Self.publish(publisher, place) == .confirmed)
            }
            #expect(connects.withLockedValue { $0 } == 1)
            try await proxy.stop()
        }

        @Test("an event loop that stands still for two heartbeats recovers (amqp-rs/lapin#125)")
        func aBlockedLoopRecovers() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let loop = group.next()
            let publisher = AMQPPublisher(
                configuration: configuration(heartbeat: .seconds(1)), topology: place.topology, eventLoop: loop,
                logger: BrokerTests.logger)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await publisher.run() }
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                try await loop.submit { _ = usleep(2_500_000) }.get()
                let recovered = await eventually { await Self.publish(publisher, place) == .confirmed }
                #expect(recovered)
                tasks.cancelAll()
            }
            try await group.shutdownGracefully()
        }

        /// M28: rabbitmq/rabbitmq-server#13384.
        @Test("however the line cuts the stream, the messages are the same", arguments: [1, 3, 7, 8, 1000])
        func cutsDoNotMatter(cut: Int) async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let proxy = try await FrameProxy.start(to: BrokerFixture.shared.port, cutting: cut)
            let body = (0..<3000).map { UInt8(truncatingIfNeeded: $0) }
            try await withPublisher(Self.through(proxy, heartbeat: .seconds(10)), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(20)))
                for number in 0..<5 {
                    let outcome = await publisher.publish(
                        exchange: place.exchange, routingKey: "key", properties: .init(messageID: "\(number)"),
                        body: body)
                    #expect(outcome == .confirmed)
                }
            }
            try await withConsumer(Self.through(proxy, heartbeat: .seconds(10)), place) { consumer in
                let received = await receive(5, from: consumer)
                #expect(received.map(\.properties.messageID) == ["0", "1", "2", "3", "4"])
                #expect(received.allSatisfy { $0.body == body })
            }
            try await proxy.stop()
        }
    }
}
