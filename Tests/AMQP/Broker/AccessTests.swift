import AMQP
import Testing

extension BrokerTests {
    @Suite struct Access {
        /// Why a publisher with this configuration does not connect; `nil` if it does.
        static func obstacle(
            _ configuration: AMQPConfiguration, topology: Topology = Topology(), to word: String
        ) async throws -> String? {
            try await withPublisher(configuration, topology) { publisher in
                let named = await eventually {
                    guard case .disconnected(let reason) = publisher.state else { return true }
                    return reason.contains(word)
                }
                #expect(named, "\(publisher.state)")
                guard case .disconnected(let reason) = publisher.state else { return nil }
                return reason
            }
        }

        @Test func aWrongPasswordIsNamedAndNotShown() async throws {
            try await BrokerFixture.shared.start()
            var wrong = configuration()
            wrong.password = "hunter2"
            let reason = try #require(try await Self.obstacle(wrong, to: "ACCESS_REFUSED"))
            #expect(!reason.contains("hunter2"))
        }

        @Test func aWrongVirtualHostIsNamed() async throws {
            try await BrokerFixture.shared.start()
            var wrong = configuration()
            wrong.virtualHost = "elsewhere"
            #expect(try await Self.obstacle(wrong, to: "NOT_ALLOWED") != nil)
        }

        @Test func aPortWithoutABrokerIsNamed() async throws {
            var wrong = configuration()
            wrong.hosts = [.init("127.0.0.1", port: 1)]
            #expect(try await Self.obstacle(wrong, to: "no connection to 127.0.0.1:1") != nil)
        }

        @Test func theNextHostIsTriedInTurn() async throws {
            try await BrokerFixture.shared.start()
            var several = configuration()
            several.hosts.insert(.init("127.0.0.1", port: 1), at: 0)
            several.hosts.append(.init("localhost", port: 2))
            try await withPublisher(several, Topology()) { publisher in
                #expect(await publisher.waitUntilConnected(within: .seconds(10)))
            }
        }

        @Test func tlsHoldsTheBrokerToItsNameAndAuthority() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            var tls = configuration()
            tls.hosts = [.init("127.0.0.1", port: broker.tlsPort)]
            tls.tls = .verify(caFile: broker.certificateAuthority, serverName: "broker.test")
            let place = Place()
            try await withPublisher(tls, place.topology) { publisher in
                #expect(await publisher.waitUntilConnected(within: .seconds(10)))
                let outcome = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(),
                    body: Array(repeating: 1, count: 300_000))
                #expect(outcome == .confirmed)
            }
            tls.tls = .verify(caFile: broker.certificateAuthority, serverName: "other.test")
            #expect(try await Self.obstacle(tls, to: "TLS") != nil)
            tls.tls = .verify(caFile: broker.certificateAuthority)
            #expect(try await Self.obstacle(tls, to: "TLS") != nil, "the address is not in the certificate")
            tls.tls = .verify(caFile: broker.otherAuthority, serverName: "broker.test")
            #expect(try await Self.obstacle(tls, to: "TLS") != nil)
            tls.tls = .verify(caFile: broker.folder + "/no-such-file")
            #expect(try await Self.obstacle(tls, to: "TLS") != nil)
        }

        @Test func aQueueOfAnotherKindIsAClearMismatch() async throws {
            try await BrokerFixture.shared.start()
            let place = Place(kind: .classic)
            try await withPublisher(configuration(), place.topology) { publisher in
                #expect(await publisher.waitUntilConnected(within: .seconds(10)))
            }
            var other = place.topology
            other.queues = [.init(name: place.queue, kind: .quorum)]
            let reason = try #require(try await Self.obstacle(configuration(), topology: other, to: "PRECONDITION"))
            #expect(reason.contains("x-queue-type"))
        }

        @Test func declaringAgainRestoresWhatWasDeleted() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            try await withPublisher(configuration(), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                try await publisher.declareTopology()
                try await broker.control("delete_queue", place.queue)
                let error = await #expect(throws: AMQPError.self) { try await publisher.readyCount(queue: place.queue) }
                #expect(error?.kind == .channelClosedByPeer(code: 404))
                #expect(publisher.state == .connected, "a question that fails harms nothing else")
                let lost = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(messageID: "1"), body: [])
                #expect(lost == .refused(reason: "returned: 312 NO_ROUTE"))
                try await publisher.declareTopology()
                let found = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(messageID: "1"), body: [])
                #expect(found == .confirmed)
                let ready = try await publisher.readyCount(queue: place.queue)
                #expect(ready.count == 1)
                #expect(ready.answeredIn > .zero)
            }
        }

        @Test func anExchangeDeletedUnderAPublisherIsRestored() async throws {
            let broker = BrokerFixture.shared
            try await broker.start()
            let place = Place()
            try await withPublisher(configuration(), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                try await broker.control(
                    "eval",
                    "rabbit_exchange:delete(rabbit_misc:r(<<\"/\">>, exchange, <<\"\(place.exchange)\">>), false, <<>>)."
                )
                let lost = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                #expect(lost == .unknown, "the broker closed the channel")
                #expect(await publisher.waitUntilConnected(within: .seconds(10)))
                let found = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(), body: [])
                #expect(found == .confirmed)
            }
        }
    }
}
