import FoundationEssentials
import Testing

@testable import Model

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

    @Test("the quick way and the decoder read the same, whatever is done to the text")
    func sameReading() throws {
        let good = try Self.event(traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .structuredJSON()
        var random = SystemRandomNumberGenerator()
        let pieces = [",", "\"", "{", "}", "\\", " ", "null", "1", "\"canary\":true,", "\u{0}", "雨", #""id":"x","#]
        for _ in 0..<20_000 {
            var text = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<text.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: text.remove(at: place)
                case 1: text[place] = UInt8.random(in: 0x20..<0x7F, using: &random)
                default: text.insert(contentsOf: Array(pieces.randomElement()!.utf8), at: place)
                }
            }
            guard let quick = text.withUnsafeBufferPointer({ EventEnvelope.read($0) }) else { continue }
            let slow = try? JSONDecoder().decode(Event.self, from: Data(text))
            if let slow {
                var (quick, slow) = (quick, slow)
                // The decoder writes the data anew.
                (quick.data, slow.data) = ([], [])
                #expect(quick == slow, "\(String(decoding: text, as: UTF8.self))")
            } else {
                // What the quick way does not judge is the data; whoever reads it does.
                #expect(throws: (any Error).self, "\(String(decoding: text, as: UTF8.self))") {
                    try quick.body(as: JSONValue.self)
                }
            }
        }
    }

    @Test("our own events are read the quick way, and their data stay as they are")
    func quickWay() throws {
        let event = try Self.event()
        let bytes = event.structuredJSON()
        #expect(bytes.withUnsafeBufferPointer { EventEnvelope.read($0) } == event)
        let spaced = Array("{ ".utf8) + bytes.dropFirst() + Array(" \n".utf8)
        #expect(spaced.withUnsafeBufferPointer { EventEnvelope.read($0) } == event)
    }

    @Test("a batch is put together and taken apart")
    func batches() throws {
        let events = try (0..<3).map { _ in try Self.event().structuredJSON() }
        #expect(EventBatch.split(EventBatch.join(events)) == events)
        #expect(EventBatch.split(Array(#" [ {"a":"}]\"{"} , {"b":[{}]} ] "#.utf8))?.count == 2)
        #expect(EventBatch.split(EventBatch.join([])) == [])
        for text in ["", "{}", "[1]", "[{}", "[{},]", "[{}]]", "[{}{}]", #"[{"a":"}]"#] {
            #expect(EventBatch.split(Array(text.utf8)) == nil, "\(text)")
        }
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
