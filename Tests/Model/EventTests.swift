import FoundationEssentials
import Model
import Testing

@Suite("Events as CloudEvents")
struct EventTests {
    private static func event(district: District.ID = Identifier(UUID()), traceparent: String? = nil) throws -> Event {
        let snapshot = StormSnapshot(
            districtID: district, version: 3, level: .orange, since: Timestamp(microseconds: 1), reason: "雨 \"50 mm\"")
        return Event(
            id: Identifier(UUID()), source: .dispatch, type: .stormLevelChanged, time: Timestamp(microseconds: 2),
            district: district, aggregateID: district.rawValue, aggregateVersion: 3, lane: .emergency,
            causationID: Identifier(UUID()), traceparent: traceparent, data: Array(try JSONEncoder().encode(snapshot)))
    }

    @Test("what is written is read as the same event")
    func roundTrip() throws {
        let event = try Self.event(traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        let read = try Event(structuredJSON: event.structuredJSON())
        #expect(read.id == event.id)
        #expect(read.causationID == event.causationID)
        #expect(read.traceparent == event.traceparent)
        #expect(try read.body(as: StormSnapshot.self) == event.body(as: StormSnapshot.self))
    }

    @Test("fields that a reader does not know are ignored")
    func unknownFields() throws {
        var text = String(decoding: try Self.event().structuredJSON(), as: UTF8.self)
        text.insert(contentsOf: #""later":{"a":[1]},"#, at: text.index(after: text.startIndex))
        #expect(throws: Never.self) { try Event(structuredJSON: Array(text.utf8)) }
    }

    @Test("a traceparent that could break the document is left out")
    func traceparent() throws {
        let read = try Event(structuredJSON: try Self.event(traceparent: #"00","id":"x"#).structuredJSON())
        #expect(read.traceparent == nil)
    }

    @Test(
        "what is no event of ours is refused",
        arguments: ["", "{}", "[]", #"{"specversion":"0.3"}"#, "\u{FFFD}", #"{"specversion":"1.0","id":"1"}"#])
    func refused(text: String) {
        #expect(throws: (any Error).self) { try Event(structuredJSON: Array(text.utf8)) }
    }

    @Test("the routing key names lane, district and type")
    func routingKey() throws {
        let district = District.ID(UUID())
        #expect(try Self.event(district: district).routingKey == "e.\(district).storm.level_changed.v1")
        #expect(try Self.event(district: District.city).routingKey == "e.city.storm.level_changed.v1")
    }

    @Test("every type names its publisher", arguments: EventType.allCases)
    func publishers(type: EventType) {
        #expect(type.rawValue.hasSuffix(".v1"))
        #expect(!type.emergencyConsumers.contains(type.publisher))
    }
}
