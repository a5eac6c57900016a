import Foundation
import Testing

@testable import AMQP

extension BrokerTests {
    /// What a publisher takes for a broker that does not confirm, and what it does not.
    @Suite struct Patience {
        @Test func aMessageThatStoodInLineForLongCostsNoChannel() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let proxy = try await FrameProxy.start(to: BrokerFixture.shared.port)
            var settings = DisturbedLines.through(proxy, heartbeat: .seconds(4))
            settings.answerTimeout = .seconds(4)
            try await withPublisher(settings, place.topology, maxUnconfirmed: 1) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                proxy.judge { $0.methodID == .basicAck ? .hold : .pass }
                let first = Task { await DisturbedLines.publish(publisher, place, "1") }
                #expect(await eventually { publisher.unconfirmed == 1 })
                let second = Task { await DisturbedLines.publish(publisher, place, "2") }
                #expect(await eventually { publisher.unconfirmed == 2 })
                // The second spends half of its time in line, so its waiter leaves long before the broker is late.
                try await Task.sleep(for: .seconds(2))
                proxy.release { $0.methodID == .basicAck ? .hold : .pass }
                #expect(await first.value == .confirmed)
                #expect(await second.value == .unknown)
                #expect(publisher.state == .connected)
                proxy.release()
                #expect(await DisturbedLines.publish(publisher, place, "3") == .confirmed)
            }
            try await proxy.stop()
        }
    }
}
