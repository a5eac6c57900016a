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
    }
}
