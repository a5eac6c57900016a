/// The code by which a resident follows a report: 65 random bits as 13 characters of Crockford's base 32, and a check
/// character, in groups that can be read over the telephone: `7K2M-Q9XD-4RTB-VH`.
///
/// The check character finds every single wrong character and almost every swap, so that a slip of the thumb is told
/// as such and costs no look-up.
public struct TrackingCode: Sendable, Hashable, CustomStringConvertible {
    /// Values 0 … 31, the last of them the check.
    private let digits: [UInt8]

    public static let randomBytesNeeded = 9
    private static let payloadLength = 13
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// - Parameter randomBytes: at least `randomBytesNeeded` unpredictable bytes.
    public init(randomBytes: [UInt8]) {
        precondition(randomBytes.count >= Self.randomBytesNeeded, "too little randomness for a tracking code")
        var digits: [UInt8] = []
        var accumulator: UInt32 = 0
        var bits = 0
        for byte in randomBytes {
            accumulator = accumulator << 8 | UInt32(byte)
            bits += 8
            while bits >= 5, digits.count < Self.payloadLength {
                bits -= 5
                digits.append(UInt8(accumulator >> UInt32(bits) & 31))
            }
            accumulator &= (1 << UInt32(bits)) - 1
        }
        self.digits = digits + [Self.check(digits)]
    }

    /// Reads what a person typed: any case, with or without dashes and spaces, O for 0, I and L for 1.
    /// Nil if it can't be a code.
    public init?(_ text: some StringProtocol) {
        var digits: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "-"), UInt8(ascii: " "): continue
            default: break
            }
            guard let value = Self.value(of: byte), digits.count <= Self.payloadLength else { return nil }
            digits.append(value)
        }
        guard digits.count == Self.payloadLength + 1, digits.last == Self.check(digits.dropLast()) else { return nil }
        self.digits = digits
    }

    /// `XXXX-XXXX-XXXX-XX`
    public var description: String {
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, index % 4 == 0 { text += "-" }
            text.unicodeScalars.append(Unicode.Scalar(Self.alphabet[Int(digit)]))
        }
        return text
    }

    /// What is hashed for look-up: the characters without dashes.
    public var canonicalBytes: [UInt8] { digits.map { Self.alphabet[Int($0)] } }

    private static func value(of byte: UInt8) -> UInt8? {
        let upper = (0x61...0x7A).contains(byte) ? byte - 32 : byte
        switch upper {
        case UInt8(ascii: "O"): return 0
        case UInt8(ascii: "I"), UInt8(ascii: "L"): return 1
        default: return alphabet.firstIndex(of: upper).map(UInt8.init)
        }
    }

    /// A sum over GF(32) in which each position has a weight of its own (powers of a generator), so that no single
    /// error and no swap of two different characters leaves it unchanged.
    private static func check(_ payload: some Sequence<UInt8>) -> UInt8 {
        var sum: UInt8 = 0
        for digit in payload {
            // Horner's scheme: multiply by x modulo x⁵ + x² + 1, then add.
            sum = double(sum ^ digit)
        }
        return sum
    }

    private static func double(_ value: UInt8) -> UInt8 {
        let doubled = value << 1
        return doubled & 0b100000 == 0 ? doubled : doubled ^ 0b100101
    }
}
