import AMQP
import Testing

extension BrokerTests {
    @Suite struct PublishAndConsume {
        @Test func aPublishedMessageArrivesWithAllItsProperties() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let properties = MessageProperties(
                contentType: "application/cloudevents+json", messageID: "m-1", appID: "intake",
                type: "report.received.v1", correlationID: "c-1", timestamp: 1_700_000_000,
                headers: [
                    "text": "水闸", "number": -7, "flag": true, "nothing": .null, "real": .double(0.5),
                    "list": .array([1, "a", .bytes([0, 255])]), "table": .table(["inner": .timestamp(5)]),
                ])
            try await withPublisher(configuration(), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                let outcome = await publisher.publish(
                    exchange: place.exchange, routingKey: "key.1", properties: properties, body: Array("hello".utf8))
                #expect(outcome == .confirmed)
                #expect(publisher.unconfirmed == 0)
                #expect(try await publisher.readyCount(queue: place.queue).count == 1)
            }
            try await withConsumer(configuration(), place) { consumer in
                let received = await receive(1, from: consumer)
                let delivery = try #require(received.first)
                #expect(delivery.properties == properties)
                #expect(delivery.body == Array("hello".utf8))
                #expect(delivery.exchange == place.exchange)
                #expect(delivery.routingKey == "key.1")
                #expect(!delivery.redelivered)
                #expect(delivery.deliveryCount == 0)
            }
        }

        @Test("bodies of every size around the frame limit", arguments: [4096, 131_072])
        func bodiesAroundTheFrameLimitArriveWhole(frameMax: Int) async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            let most = frameMax - 8
            let sizes = [0, 1] + [1, 2, 3].flatMap { most * $0 - 9...most * $0 + 9 }
            try await withPublisher(configuration(frameMax: frameMax), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                let outcomes = await withTaskGroup(of: PublishOutcome.self) { group in
                    for size in sizes {
                        group.addTask {
                            await publisher.publish(
                                exchange: place.exchange, routingKey: "key",
                                properties: MessageProperties(messageID: "\(size)"), body: Self.pattern(size))
                        }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                #expect(outcomes == Array(repeating: .confirmed, count: sizes.count))
            }
            try await withConsumer(configuration(frameMax: frameMax), place) { consumer in
                let received = await receive(sizes.count, from: consumer)
                #expect(Set(received.map(\.body.count)) == Set(sizes))
                for delivery in received {
                    #expect(delivery.properties.messageID == "\(delivery.body.count)")
                    #expect(delivery.body == Self.pattern(delivery.body.count))
                }
            }
        }

        static func pattern(_ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ size) } }

        @Test("the middle one of three is returned while others confirm (SpinGo/op-rabbit#83)")
        func anUnroutableMessageIsRefusedAmongConfirmedOnes() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await withPublisher(configuration(), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                let outcomes = await withTaskGroup(of: (Int, PublishOutcome).self) { group in
                    for number in 0..<300 {
                        // Every third has a message id; without one, a header of ours tells returns apart.
                        let id = number % 3 == 0 ? "m-\(number)" : nil
                        group.addTask {
                            let key = number % 3 == 1 ? "nowhere" : "key"
                            return (
                                number,
                                await publisher.publish(
                                    exchange: place.exchange, routingKey: key, properties: .init(messageID: id),
                                    body: [1])
                            )
                        }
                    }
                    return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
                }
                for number in 0..<300 {
                    if number % 3 == 1 {
                        #expect(outcomes[number] == .refused(reason: "returned: 312 NO_ROUTE"))
                    } else {
                        #expect(outcomes[number] == .confirmed)
                    }
                }
                let unasked = await publisher.publish(
                    exchange: place.exchange, routingKey: "nowhere", properties: .init(), body: [], mandatory: false)
                #expect(unasked == .confirmed, "the broker forgets what nobody asked it to return")
            }
        }

        @Test("a message that cannot travel is refused and harms no other (MassTransit/MassTransit#6216)")
        func aMessageThatCannotTravelIsRefusedAndHarmsNoOther() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            var configuration = configuration(frameMax: 4096)
            configuration.largestBody = 10_000
            try await withPublisher(configuration, place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                async let good = publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(messageID: "good"), body: [1])
                let tooLarge = await publisher.publish(
                    exchange: place.exchange, routingKey: "key",
                    properties: .init(headers: ["h": .string(String(repeating: "x", count: 4096))]), body: [])
                let unknownExchange = await publisher.publish(
                    exchange: "no-such-exchange", routingKey: "key", properties: .init(), body: [])
                let longKey = await publisher.publish(
                    exchange: place.exchange, routingKey: String(repeating: "k", count: 256), properties: .init(),
                    body: [])
                let oversized = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(),
                    body: [UInt8](repeating: 0, count: 10_001))
                for outcome in [tooLarge, unknownExchange, longKey, oversized] {
                    guard case .refused = outcome else {
                        Issue.record("\(outcome)")
                        continue
                    }
                }
                #expect(await good == .confirmed)
                let largest = await publisher.publish(
                    exchange: place.exchange, routingKey: "key", properties: .init(),
                    body: [UInt8](repeating: 0, count: 10_000))
                #expect(largest == .confirmed)
                #expect(publisher.state == .connected)
            }
        }

        @Test func tenThousandCallersShareOneConnection() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await withPublisher(configuration(heartbeat: .seconds(30)), place.topology) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                let confirmed = await withTaskGroup(of: PublishOutcome.self) { group in
                    for number in 0..<10_000 {
                        group.addTask {
                            await publisher.publish(
                                exchange: place.exchange, routingKey: "key.\(number)",
                                properties: .init(messageID: "\(number)"), body: [1, 2, 3])
                        }
                    }
                    return await group.reduce(into: 0) { $0 += $1 == .confirmed ? 1 : 0 }
                }
                #expect(confirmed == 10_000)
            }
            try await withConsumer(configuration(), place, prefetch: 200) { consumer in
                let received = await receive(10_000, from: consumer, within: .seconds(60))
                #expect(Set(received.compactMap(\.properties.messageID)).count == 10_000)
                #expect(received.allSatisfy { !$0.redelivered }, "each was acknowledged in time and once")
            }
        }

        @Test func cancellingACallerEndsItsWaitAndNothingElse() async throws {
            try await BrokerFixture.shared.start()
            let place = Place()
            try await withPublisher(configuration(), place.topology, maxUnconfirmed: 5) { publisher in
                try #require(await publisher.waitUntilConnected(within: .seconds(10)))
                await withTaskGroup(of: Void.self) { group in
                    for number in 0..<500 {
                        let task = Task {
                            await publisher.publish(
                                exchange: place.exchange, routingKey: "key", properties: .init(messageID: "\(number)"),
                                body: [])
                        }
                        if number % 3 == 0 { task.cancel() }
                        group.addTask {
                            if number % 3 == 1 { task.cancel() }
                            let outcome = await task.value
                            if number % 3 == 2 { #expect(outcome == .confirmed) }
                        }
                    }
                }
                #expect(await eventually { publisher.unconfirmed == 0 })
            }
        }
    }
}
