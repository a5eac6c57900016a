public import FoundationEssentials

/// A `jsonb` value as its text.
public struct JSONB: PostgresEncodable, PostgresDecodable, Sendable, Hashable {
    public var text: String

    public init(_ text: String) { self.text = text }

    /// Times are written in ISO 8601 to the second; whoever needs more brings an encoder.
    public static func json(_ value: some Encodable, encoder: JSONEncoder? = nil) throws -> JSONB {
        let data = try (encoder ?? plainEncoder()).encode(value)
        return JSONB(String(decoding: data, as: UTF8.self))
    }

    public func decode<T: Decodable>(_ type: T.Type = T.self, decoder: JSONDecoder? = nil) throws -> T {
        try (decoder ?? Self.plainDecoder()).decode(T.self, from: Data(text.utf8))
    }

    private static func plainEncoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    private static func plainDecoder() -> JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return decoder
    }

    public static var postgresType: UInt32 { PostgresType.jsonb }
    public static var postgresArrayType: UInt32 { PostgresType.jsonbArray }
    public var postgresText: String? { text }

    public static func decode(postgres cell: PostgresCell) throws -> JSONB { JSONB(try cell.requiredText()) }
}
