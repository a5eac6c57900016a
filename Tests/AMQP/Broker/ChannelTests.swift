import NIOCore
import NIOPosix
import Testing

@testable import AMQP

/// A connection whose channels a test drives itself.
actor RawConnection {
    private let eventLoop: any EventLoop
    private let configuration: AMQPConfiguration
    private var connection: AMQPConnection?
    private(set) var received: [UInt16: [ChannelMachine.Delivery]] = [:]
    private(set) var channelEnds = 0
    private var openings = 0
    private var numbers: [Int: UInt16] = [:]
    private(set) var end: AMQPError?

    nonisolated var unownedExecutor: UnownedSerialExecutor { eventLoop.executor.asUnownedSerialExecutor() }

    init(_ configuration: AMQPConfiguration) {
        eventLoop = BrokerTests.loops.next()
        self.configuration = configuration
    }

    func open() async throws {
        let connection = try AMQPConnection(
            configuration: configuration, eventLoop: eventLoop, logger: BrokerTests.logger,
            events: .init(
                blocked: { _ in }, readComplete: {}, tick: { _ in },
                ended: { [weak self] error in self?.assumeIsolated { $0.end = error } }))
        self.connection = connection
        try await connection.open(configuration.hosts[0])
    }

    func openChannel() async throws -> UInt16 {
        guard let connection else { throw AMQPError(.notConnected, "") }
        openings += 1
        let opening = openings
        let channel = try await connection.openChannel { [weak self] event in
            self?.assumeIsolated { $0.event(event, of: opening) }
        }
        numbers[opening] = channel
        return channel
    }

    private func event(_ event: AMQP.ChannelEvent, of opening: Int) {
        let channel = numbers[opening] ?? 0
        switch event {
        case .delivery(let delivery): received[channel, default: []].append(delivery)
        case .ended: channelEnds += 1
        default: break
        }
    }

    func ask(_ method: OutboundMethod, on channel: UInt16) async throws -> InboundMethod {
        guard let connection else { throw AMQPError(.notConnected, "") }
        return try await connection.ask(method, on: channel)
    }

    func closeChannel(_ channel: UInt16) async { await connection?.closeChannel(channel) }

    /// Sends cancel and close in one breath, while deliveries arrive. (A cancel that is sent before the consume is
    /// answered would crash RabbitMQ 3.10's channel, and it answers nothing then.)
    func consumeCancelClose(_ queue: String, on channel: UInt16) async throws {
        guard let connection else { return }
        try await connection.ask(.basicConsume(queue: queue, consumer: "c"), on: channel)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            connection.ask(.basicCancel(consumer: "c"), on: channel) { _ in }
            connection.closeChannel(channel) { continuation.resume() }
        }
    }

    func close() async { await connection?.close(within: .seconds(5)) }
}

extension BrokerTests {
    @Suite struct Channels {
        static func fill(_ place: Place, with bodies: [[UInt8]]) async throws {
            try await withPublisher(configuration(heartbeat: .seconds(10)), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                for (number, body) in bodies.enumerated() {
                    let outcome = await publisher.publish(
                        exchange: place.exchange, routingKey: "key", properties: .init(messageID: "\(number)"),
                        body: body)
                    #expect(outcome == .confirmed)
                }
            }
        }

        @Test("large messages on two channels fall between each other's frames (rabbitmq/rabbitmq-server#13384)")
        func interleavedMessagesAreToldApart() async throws {
            try await BrokerFixture.shared.start()
            let places = [Place(kind: .classic), Place(kind: .classic)]
            let body = { (seed: Int) in Array(repeating: UInt8(seed), count: 1_000_000) }
            for (index, place) in places.enumerated() {
                try await Self.fill(place, with: (0..<5).map { body(index * 10 + $0) })
            }
            let raw = RawConnection(configuration(heartbeat: .seconds(10), frameMax: 4096))
            try await raw.open()
            let channels = [try await raw.openChannel(), try await raw.openChannel()]
            async let first = raw.ask(.basicConsume(queue: places[0].queue, consumer: "a"), on: channels[0])
            async let second = raw.ask(.basicConsume(queue: places[1].queue, consumer: "b"), on: channels[1])
            _ = try await (first, second)
            let all = await eventually(within: .seconds(30)) {
                await raw.received.values.map(\.count).reduce(0, +) == 10
            }
            #expect(all)
            for (index, channel) in channels.enumerated() {
                let received = await raw.received[channel] ?? []
                #expect(received.map(\.properties.messageID) == ["0", "1", "2", "3", "4"])
                for (number, delivery) in received.enumerated() { #expect(delivery.body == body(index * 10 + number)) }
            }
            await raw.close()
        }

        @Test("cancel and close back to back, with deliveries behind them, 1,000 times (funcmike/rabbitmq-nio#31)")
        func channelsEndCleanlyWhateverIsUnderWay() async throws {
            try await BrokerFixture.shared.start()
            let place = Place(kind: .classic)
            try await Self.fill(place, with: Array(repeating: Array(repeating: 1, count: 500), count: 50))
            let raw = RawConnection(configuration(heartbeat: .seconds(10)))
            try await raw.open()
            for _ in 0..<1000 {
                let channel = try await raw.openChannel()
                try await raw.consumeCancelClose(place.queue, on: channel)
            }
            #expect(await raw.channelEnds == 1000)
            #expect(await raw.end == nil)
            // Nothing is left behind: a question of a new channel finds its answer.
            let channel = try await raw.openChannel()
            let answer = try await raw.ask(.queueDeclare(name: place.queue, passive: true, kind: nil), on: channel)
            guard case .queueDeclareOK = answer else {
                Issue.record("\(answer)")
                return
            }
            await raw.close()
            #expect(await raw.end != nil)
        }

        @Test func asManyChannelsAsAgreedOnAndNoMore() async throws {
            try await BrokerFixture.shared.start()
            let raw = RawConnection(configuration(heartbeat: .seconds(10)))
            try await raw.open()
            var open: Set<UInt16> = []
            for _ in 0..<AMQPConnection.channelLimit { open.insert(try await raw.openChannel()) }
            #expect(open.count == Int(AMQPConnection.channelLimit))
            await #expect(throws: AMQPError.self) { try await raw.openChannel() }
            await raw.closeChannel(7)
            #expect(try await raw.openChannel() == 7)
            await raw.close()
        }

        @Test func aFailedQuestionEndsItsChannelAndNoOther() async throws {
            try await BrokerFixture.shared.start()
            let raw = RawConnection(configuration(heartbeat: .seconds(10)))
            try await raw.open()
            let channels = [try await raw.openChannel(), try await raw.openChannel()]
            let error = await #expect(throws: AMQPError.self) {
                try await raw.ask(.queueDeclare(name: "no-such-queue", passive: true, kind: nil), on: channels[0])
            }
            #expect(error?.kind == .channelClosedByPeer(code: 404))
            // Nothing is sent on a closed channel: that would end the whole connection.
            let afterwards = await #expect(throws: AMQPError.self) {
                try await raw.ask(.basicQos(prefetch: 1), on: channels[0])
            }
            #expect(afterwards?.kind == .channelClosed)
            #expect(try await raw.ask(.basicQos(prefetch: 1), on: channels[1]) == .basicQosOK)
            await raw.close()
        }
    }
}
