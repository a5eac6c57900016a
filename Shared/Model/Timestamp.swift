/// A moment in UTC to the microsecond, as PostgreSQL's `timestamptz` keeps it. On the wire it is RFC 3339 text.
public struct Timestamp: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    public let microseconds: Int64

    /// What RFC 3339 can write: the years 1 to 9999. Nothing from outside is taken that lies beyond.
    public static let writable =
        Timestamp(microseconds: -62_135_596_800_000_000)...Timestamp(microseconds: 253_402_300_799_999_999)

    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public init(secondsSince1970: Double) {
        self.microseconds = Int64((secondsSince1970 * 1_000_000).rounded())
    }

    public var secondsSince1970: Double { Double(microseconds) / 1_000_000 }

    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.microseconds < rhs.microseconds }

    public static func + (lhs: Self, rhs: Duration) -> Self {
        Timestamp(microseconds: lhs.microseconds + rhs.microseconds)
    }

    public static func - (lhs: Self, rhs: Duration) -> Self {
        Timestamp(microseconds: lhs.microseconds - rhs.microseconds)
    }

    public static func - (lhs: Self, rhs: Self) -> Duration {
        .microseconds(lhs.microseconds - rhs.microseconds)
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Timestamp(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "an RFC 3339 time is wanted, such as 2026-07-01T08:30:00+08:00")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension Duration {
    public var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }

    public var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

// MARK: - RFC 3339

extension Timestamp {
    /// Reads RFC 3339 text with an offset or `Z`, and PostgreSQL's own form (a space for the `T`, `+00` for the offset).
    /// Fractions beyond microseconds are cut. Nil for anything else, also for days that do not exist and for moments that
    /// lie, in UTC, outside the years 1 to 9999.
    public init?(_ text: some StringProtocol) {
        var reader = DigitReader(text.utf8)
        guard
            let year = reader.number(digits: 4), reader.take("-"), let month = reader.number(digits: 2),
            reader.take("-"), let day = reader.number(digits: 2),
            reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.number(digits: 2), reader.take(":"), let minute = reader.number(digits: 2),
            reader.take(":"), let second = reader.number(digits: 2),
            (1...12).contains(month), (1...CivilDate.daysIn(month: month, year: year)).contains(day),
            (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        var fraction = 0
        if reader.take(".") {
            guard let value = reader.fraction() else { return nil }
            fraction = value
        }
        var offsetMinutes = 0
        if !(reader.take("Z") || reader.take("z")) {
            let sign: Int
            if reader.take("+") { sign = 1 } else if reader.take("-") { sign = -1 } else { return nil }
            guard let hours = reader.number(digits: 2), (0...23).contains(hours) else { return nil }
            var minutes = 0
            if reader.take(":") {
                guard let value = reader.number(digits: 2), (0...59).contains(value) else { return nil }
                minutes = value
            }
            offsetMinutes = sign * (hours * 60 + minutes)
        }
        guard reader.isAtEnd else { return nil }
        let days = Int64(CivilDate(year: year, month: month, day: day).daysSince1970)
        let seconds = days * 86_400 + Int64(hour * 3_600 + minute * 60 + min(second, 59)) - Int64(offsetMinutes * 60)
        self.init(microseconds: seconds * 1_000_000 + Int64(fraction))
        guard Self.writable.contains(self) else { return nil }
    }

    /// `2026-07-01T00:30:00.000000Z`; what no text can say is written as the nearest moment that one can.
    public var description: String {
        let microseconds = min(max(self, Self.writable.lowerBound), Self.writable.upperBound).microseconds
        var (days, rest) = microseconds.quotientAndRemainder(dividingBy: 86_400_000_000)
        if rest < 0 { (days, rest) = (days - 1, rest + 86_400_000_000) }
        let date = CivilDate(daysSince1970: Int(days))
        let second = Int(rest / 1_000_000)
        let fields =
            [
                (date.year, 4, "-"), (date.month, 2, "-"), (date.day, 2, "T"), (second / 3_600, 2, ":"),
                (second / 60 % 60, 2, ":"), (second % 60, 2, "."), (Int(rest % 1_000_000), 6, "Z"),
            ] as [(Int, Int, Unicode.Scalar)]
        return String(unsafeUninitializedCapacity: 27) { text in
            var end = 0
            for (value, width, separator) in fields {
                var left = value
                for position in (end..<end + width).reversed() {
                    text[position] = UInt8(ascii: "0") + UInt8(left % 10)
                    left /= 10
                }
                text[end + width] = UInt8(ascii: separator)
                end += width + 1
            }
            return end
        }
    }
}

/// Reads fixed-width decimal fields from UTF-8.
private struct DigitReader<Bytes: Collection<UInt8>> {
    private var rest: Bytes.SubSequence

    init(_ bytes: Bytes) { self.rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func number(digits: Int) -> Int? {
        var value = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// One to many digits after the point, as microseconds.
    mutating func fraction() -> Int? {
        guard var value = digit() else { return nil }
        var count = 1
        while let next = digit() {
            if count < 6 {
                value = value * 10 + next
                count += 1
            }
        }
        while count < 6 {
            value *= 10
            count += 1
        }
        return value
    }

    private mutating func digit() -> Int? {
        guard let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        rest = rest.dropFirst()
        return Int(byte - UInt8(ascii: "0"))
    }
}
