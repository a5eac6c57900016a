import Foundation
import NIOConcurrencyHelpers
import Testing

@testable import AMQP

extension BrokerTests {
    /// While an alarm lasts the broker reads nothing from a connection that has published: no question is answered.
    @Suite struct Alarms {
        private static let alarm = "0.0001"
        private static let noAlarm = "0.4"

        private static func probe(_ publisher: AMQPPublisher, _ place: Place) async -> PublishOutcome {
            await publisher.publish(exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
        }

        @Test func questionsDuringAnAlarmEndAtOnceAndCostNoConnection() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            var settings = configuration(heartbeat: .seconds(4))
            // An unanswered question would be overdue within the loop below.
            settings.answerTimeout = .seconds(2)
            try await withPublisher(settings, place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                #expect(try await publisher.readyCount(queue: place.queue).count == 0)
                try await broker.control("set_vm_memory_high_watermark", Self.alarm)
                _ = await Self.probe(publisher, place)
                #expect(await eventually { publisher.state.isBlocked })
                let state = publisher.state
                for _ in 0..<10 {
                    let declaring = await #expect(throws: AMQPError.self) { try await publisher.declareTopology() }
                    #expect(declaring?.kind == .blocked)
                    let counting = await #expect(throws: AMQPError.self) {
                        try await publisher.readyCount(queue: place.queue)
                    }
                    #expect(counting?.kind == .blocked)
                    try await Task.sleep(for: .milliseconds(500))
                    #expect(publisher.state == state, "the same connection, blocked since the same moment")
                }
                try await broker.control("set_vm_memory_high_watermark", Self.noAlarm)
                #expect(await eventually { publisher.state == .connected })
                try await publisher.declareTopology()
            }
        }

        @Test func aQuestionUnderWayWhenAnAlarmComesIsGivenUpAndItsAnswerIsNobodys() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            let proxy = try await FrameProxy.start(to: broker.port)
            let settings = DisturbedLines.through(proxy, heartbeat: .seconds(30))
            try await withPublisher(settings, place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                #expect(try await publisher.readyCount(queue: place.queue).count == 0)
                let isHeld = NIOLockedValueBox(false)
                proxy.judge { frame in
                    guard frame.methodID == .connectionBlocked else { return .pass }
                    isHeld.withLockedValue { $0 = true }
                    return .hold
                }
                try await broker.control("set_vm_memory_high_watermark", Self.alarm)
                let unheard = Task { await Self.probe(publisher, place) }
                #expect(await eventually { isHeld.withLockedValue { $0 } })
                // The broker reads no more, and the publisher does not know yet.
                let before = proxy.bytesFromClients
                let question = Task { try await publisher.readyCount(queue: place.queue) }
                #expect(await eventually { proxy.bytesFromClients > before })
                proxy.release()
                let error = await #expect(throws: AMQPError.self) { try await question.value }
                #expect(error?.kind == .blocked)
                #expect(publisher.state.isBlocked)
                try await broker.control("set_vm_memory_high_watermark", Self.noAlarm)
                #expect(await eventually { publisher.state == .connected })
                #expect(await unheard.value == .confirmed)
                // Over the same channel, on which the first question's answer has come meanwhile.
                #expect(await eventually { (try? await publisher.readyCount(queue: place.queue))?.count == 1 })
            }
            try await proxy.stop()
        }
    }
}
