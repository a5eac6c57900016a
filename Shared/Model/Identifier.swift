public import FoundationEssentials

/// An id that knows what it identifies: a `Case.ID` cannot be passed where a `Crew.ID` is meant.
public struct Identifier<Owner>: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let rawValue: UUID

    public init(rawValue: UUID) {
        self.rawValue = rawValue
    }

    public init(_ rawValue: UUID) {
        self.rawValue = rawValue
    }

    /// Reads the canonical text form; nil if it is not a UUID.
    public init?(_ text: some StringProtocol) {
        guard let uuid = UUID(canonical: text) else { return nil }
        self.rawValue = uuid
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let uuid = UUID(canonical: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a UUID")
        }
        self.rawValue = uuid
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    /// Lower case, as PostgreSQL prints it.
    public var description: String {
        rawValue.lowercaseText
    }

    public static func < (lhs: Self, rhs: Self) -> Bool {
        lhs.rawValue < rhs.rawValue
    }
}

extension UUID {
    /// A version 7 UUID (RFC 9562): 48 bits of milliseconds, then 74 random bits.
    public static func version7(at time: Timestamp, random: inout some RandomNumberGenerator) -> UUID {
        let milliseconds = UInt64(max(0, time.microseconds / 1_000))
        let first = UInt64.random(in: .min ... .max, using: &random)
        let second = UInt64.random(in: .min ... .max, using: &random)
        func byte(_ value: UInt64, _ shift: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: value >> shift) }
        return UUID(
            uuid: (
                byte(milliseconds, 40), byte(milliseconds, 32), byte(milliseconds, 24), byte(milliseconds, 16),
                byte(milliseconds, 8), byte(milliseconds, 0),
                0x70 | (byte(first, 0) & 0x0F), byte(first, 8),
                0x80 | (byte(second, 0) & 0x3F), byte(second, 8), byte(second, 16), byte(second, 24),
                byte(second, 32), byte(second, 40), byte(second, 48), byte(second, 56)
            ))
    }

    /// The time that a version 7 UUID carries, to the millisecond; nil for any other version.
    public var version7Time: Timestamp? {
        let bytes = uuid
        guard bytes.6 >> 4 == 7 else { return nil }
        let milliseconds =
            Int64(bytes.0) << 40 | Int64(bytes.1) << 32 | Int64(bytes.2) << 24 | Int64(bytes.3) << 16
            | Int64(bytes.4) << 8 | Int64(bytes.5)
        return Timestamp(microseconds: milliseconds * 1_000)
    }
}
