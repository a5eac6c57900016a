import Foundation
import Model
import Testing

@Suite("JSON straight into bytes")
struct JSONBytesTests {
    private struct Everything: Codable, Hashable {
        var text = "a \"quoted\" \\ line\n\t\u{1}\u{7F} 雨 👷🏽 \u{2028}"
        var number = -12.5
        var whole = 3.0
        var tiny = 1.0e-7
        var huge = 1.7976931348623157e308
        var integers: [Int64] = [.min, 0, .max]
        var unsigned = UInt64.max
        var yes = true
        var nothing: String?
        var something: String? = "x"
        var names = ["b": 1, "a \"": 2]
        var nested = Nested()
        var list = [Nested(), Nested(inner: [])]
        var grid = [[1, 2], [], [3]]
        var raw = Severity.high
        var at = Timestamp(microseconds: 1_782_000_000_123_456)
        var id = Case.ID(UUID())
        var empty: [String: String] = [:]
    }

    private struct Nested: Codable, Hashable {
        var inner: [String?] = ["x", nil]
    }

    @Test("what is written is read as the same value")
    func roundTrip() throws {
        let value = Everything()
        let bytes = try JSONBytes.encode(value)
        #expect(try JSONDecoder().decode(Everything.self, from: Data(bytes)) == value)
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(bytes)) }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(!text.contains("nothing"))
        #expect(text.contains(#""whole":3,"#))
    }

    /// Containers that are opened by hand and never closed.
    private struct ByHand: Encodable {
        enum Key: String, CodingKey { case a, b, c, nothing }

        func encode(to encoder: any Encoder) throws {
            var fields = encoder.container(keyedBy: Key.self)
            var list = fields.nestedUnkeyedContainer(forKey: .a)
            try list.encode(1)
            var inner = list.nestedContainer(keyedBy: Key.self)
            try inner.encode("x", forKey: .b)
            try list.encodeNil()
            _ = fields.nestedContainer(keyedBy: Key.self, forKey: .b)
            try fields.encode(false, forKey: .c)
            try fields.encodeNil(forKey: .nothing)
        }
    }

    private struct Nothing: Encodable {
        func encode(to encoder: any Encoder) {}
    }

    @Test("nobody has to say when a container is finished")
    func byHand() throws {
        #expect(try JSONBytes.text(of: ByHand()) == #"{"a":[1,{"b":"x"},null],"b":{},"c":false,"nothing":null}"#)
        #expect(try JSONBytes.text(of: [ByHand()]).hasSuffix(#""nothing":null}]"#))
    }

    @Test("simple values, and types without anything to say")
    func simple() throws {
        #expect(try JSONBytes.text(of: "x") == #""x""#)
        #expect(try JSONBytes.text(of: Int?.none) == "null")
        #expect(try JSONBytes.text(of: [Int]()) == "[]")
        #expect(try JSONBytes.text(of: [Nothing(), Nothing()]) == "[{},{}]")
        #expect(
            try JSONBytes.text(of: JSONValue.object(["a": .array([.null, .number(0.5), .integer(7)])]))
                == #"{"a":[null,0.5,7]}"#)
    }

    @Test("numbers that JSON does not have are refused", arguments: [Double.nan, .infinity, -.infinity])
    func noNumber(value: Double) {
        #expect(throws: EncodingError.self) { try JSONBytes.encode([value]) }
        #expect(throws: EncodingError.self) { try JSONBytes.encode(["a": value]) }
    }

    @Test("a UUID is written as PostgreSQL does, and read in either case")
    func uuids() {
        let id = UUID()
        #expect(id.lowercaseText == id.uuidString.lowercased())
        #expect(UUID(canonical: id.uuidString) == id)
        #expect(UUID(canonical: id.lowercaseText) == id)
        let text = id.lowercaseText
        for wrong in [
            "", String(text.dropLast()), text + "0", text.replacing("-", with: ""), "g" + text.dropFirst(), "{\(text)}",
        ] {
            #expect(UUID(canonical: wrong) == nil, "\(wrong)")
        }
    }
}
