import AMQP
import FoundationEssentials
import Model
import Postgres
import Testing

@testable import Outbox

@Suite struct SaidOfItselfTests {
    @Test func anEventOfATypeThatIsNotKnownYetHasItsOwnKey() {
        let event = City.report()
        let message = Message(body: event.ofTomorrow(), path: .broker, source: nil, id: nil, type: nil)
        guard case .poison = message.content else { return #expect(Bool(false), "nobody knows such a type") }
        #expect(message.key == InboxKey(source: "intake", eventID: event.id.rawValue))
    }

    @Test func whatABodySaysGoesBeforeItsEnvelope() {
        let event = City.report()
        let message = Message(body: event.ofTomorrow(), path: .broker, source: "dispatch", id: UUID(), type: nil)
        #expect(message.key == InboxKey(source: "intake", eventID: event.id.rawValue))
    }

    @Test(arguments: [
        #"{"source":"intake"}"#, #"{"source":"nobody","id":"01900000-0000-7000-8000-0000000000d1"}"#,
        #"{"source":7,"id":"01900000-0000-7000-8000-0000000000d1"}"#, #"{"source":"intake","id":"x"}"#,
    ])
    func whoSaysHalfOfItIsKnownByItsBytes(_ text: String) {
        let body = Array(text.utf8)
        #expect(Message(body: body, path: .broker, source: nil, id: nil, type: nil).key == .unknown(body))
    }
}

extension ServerTests {
    /// What this release cannot read.
    @Suite struct UnreadableTests {
        @Test func anUnreadableEventOfABatchIsADeadLetterUnderItsOwnKey() async throws {
            try await withCity { city in
                await city.consume(.routine, Deciding(schema: "dispatch"))
                let publisher = await city.publisher()
                let (good, strange) = (City.report(), City.report())
                let outcome = await publisher.publish(
                    exchange: CityTopology.events, routingKey: good.routingKey,
                    properties: MessageProperties(
                        contentType: EventBatch.contentType, messageID: good.id.description, appID: "intake",
                        type: "report.received.v1"),
                    body: EventBatch.join([good.structuredJSON(), strange.ofTomorrow()]))
                #expect(outcome == .confirmed)
                try await eventually("both are in the inbox") { try await city.count("dispatch.inbox") == 2 }
                #expect(try await city.count("dispatch.effect") == 1)
                let letters = try await DeadLetters(service: .dispatch, database: city.client(.dispatch)).list()
                #expect(letters.map(\.eventID) == [strange.id.rawValue])
                #expect(letters.map(\.source) == ["intake"])
            }
        }

        /// It became a dead letter under a key made of its bytes; the release of today can read it.
        @Test(arguments: [true, false])
        func aRetriedLetterThatCanBeReadByNowIsDoneUnderItsOwnKey(asDecision: Bool) async throws {
            try await withCity { city in
                let event = City.report()
                let handler: any EventHandler =
                    asDecision ? Deciding(schema: "dispatch") : Recording(schema: "dispatch")
                try await city.park(event, as: InboxKey(source: "unknown", eventID: UUID()))
                await city.consume(.routine, handler)
                try await eventually("it is parked no more") { try await city.count("dispatch.retry") == 0 }
                #expect(try await city.count("dispatch.effect", where: "event_id = '\(event.id)'") == 1)
                #expect(try await city.count("dispatch.inbox") == 1)
                #expect(
                    try await city.count("dispatch.inbox", where: "source = 'intake' AND event_id = '\(event.id)'")
                        == 1)

                // Another letter of the same event: it is done already, and its record goes.
                try await city.park(event, as: InboxKey(source: "unknown", eventID: UUID()))
                try await eventually("nor is its copy") { try await city.count("dispatch.retry") == 0 }
                #expect(try await city.count("dispatch.effect") == 1)
                #expect(try await city.count("dispatch.inbox") == 1)
            }
        }

        @Test func aRetriedLetterThatFailsAgainIsParkedUnderTheKeyItHad() async throws {
            try await withCity { city in
                let event = City.report()
                try await city.park(event, as: InboxKey(source: "unknown", eventID: UUID()))
                await city.consume(
                    .routine, Deciding(schema: "dispatch", fails: { _ in throw StageFailure("not now") }))
                try await eventually("its failure is on record") {
                    try await city.count("dispatch.retry", where: "source = 'unknown' AND failure <> 'parked'") == 1
                }
                #expect(try await city.count("dispatch.inbox") == 0)
            }
        }

        /// M07: gruelbox/transaction-outbox#788. As `aRowThatCannotBeSentStopsNobodyAndIsReported`, for a row that does
        /// not get as far as the broker.
        @Test func aRowThatCannotBeReadStopsNobodyAndIsReported() async throws {
            try await withCity { city in
                let queue = await Listener(city, "dispatch.routine")
                let intake = await Station(city, .intake, starts: false)
                let events = (0..<60).map { _ in City.report() }
                try await intake.announce(events)
                _ = try await city.sql(
                    "UPDATE intake.history SET type = 'report.future.v1' WHERE id = '\(events[30].id)'")
                for service in intake.services.services { await city.group.start(service) }
                let good = Set(events.map(\.id)).subtracting([events[30].id])
                try await eventually("the others are delivered") { queue.ids == good }
                #expect(queue.deliveries == 59)
                try await eventually("it stays, with its reason and a growing pause") {
                    try await city.count("intake.outbox", where: "refused >= 2 AND refusal LIKE 'cannot be read: %'")
                        == 1
                }
                #expect(try await city.count("intake.outbox") == 1)
                // Nor does it keep back what comes later, in the same turns as its own.
                let later = (0..<10).map { _ in City.report() }
                try await intake.announce(later)
                try await eventually("later ones are delivered") { queue.ids == good.union(later.map(\.id)) }
            }
        }
    }
}

extension Event {
    /// As a later release might write it.
    fileprivate func ofTomorrow() -> [UInt8] {
        Array(String(decoding: structuredJSON(), as: UTF8.self).replacing(".v1\"", with: ".v9\"").utf8)
    }
}

extension City {
    fileprivate func park(_ event: Event, as key: InboxKey) async throws {
        let body = event.structuredJSON().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        _ = try await sql(
            """
            INSERT INTO dispatch.retry (consumer, source, event_id, body, failure)
            VALUES ('dispatch.routine', '\(key.source)', '\(key.eventID)', '\\x\(body)', 'parked')
            """)
    }
}
