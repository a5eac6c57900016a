/// Where a request belongs in a trace: W3C Trace Context, level 1.
public struct Trace: Sendable, Hashable, CustomStringConvertible {
    /// 32 hexadecimal digits.
    public let traceID: String
    /// 16 hexadecimal digits: the span that we are in.
    public let spanID: String
    public let isSampled: Bool

    /// A new span in the trace that `traceparent` names, or in a new trace if there is none, or none that can be read.
    public init(continuing traceparent: String?, random: (Int) -> [UInt8]) {
        let parent = traceparent.flatMap(Trace.init(parsing:))
        self.traceID = parent?.traceID ?? Self.nonZero(16, random)
        self.spanID = Self.nonZero(8, random)
        self.isSampled = parent?.isSampled ?? false
    }

    /// Reads a `traceparent`; nil unless it is one.
    public init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0].utf8.count == 2, parts[0] != "ff", parts[0] != "00" || parts.count == 4,
            parts[1].utf8.count == 32, parts[2].utf8.count == 16, parts[3].utf8.count == 2,
            parts.prefix(4).allSatisfy({ $0.utf8.allSatisfy(Self.isHexadecimal) }),
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" }),
            let flags = UInt8(parts[3], radix: 16)
        else { return nil }
        self.traceID = String(parts[1])
        self.spanID = String(parts[2])
        self.isSampled = flags & 1 == 1
    }

    /// The header as it is passed on, in requests and in `Event.traceparent`.
    public var traceparent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }

    public var description: String { traceparent }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// All zeros means "invalid" in both fields.
    private static func nonZero(_ count: Int, _ random: (Int) -> [UInt8]) -> String {
        var bytes = random(count)
        if bytes.allSatisfy({ $0 == 0 }) { bytes[count - 1] = 1 }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
