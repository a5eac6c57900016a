public import FoundationEssentials

/// A value that can be a parameter.
public protocol PostgresEncodable: Sendable {
    /// The type's number in the server's catalogue; 0 lets the server infer it.
    static var postgresType: UInt32 { get }
    /// The same for an array of it.
    static var postgresArrayType: UInt32 { get }
    /// The server's text form; nil is NULL.
    var postgresText: String? { get }
    var postgresParameter: PostgresParameter { get }
}

extension PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.inferred }
    public static var postgresArrayType: UInt32 { PostgresType.inferred }
    public var postgresParameter: PostgresParameter { PostgresParameter(text: postgresText, type: Self.postgresType) }
}

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    public static var postgresType: UInt32 { RawValue.postgresType }
    public static var postgresArrayType: UInt32 { RawValue.postgresArrayType }
    public var postgresText: String? { rawValue.postgresText }
    public var postgresParameter: PostgresParameter { rawValue.postgresParameter }
}

extension String: PostgresEncodable {
    public var postgresText: String? { self }
}

extension Substring: PostgresEncodable {
    public var postgresText: String? { String(self) }
}

extension Bool: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.bool }
    public static var postgresArrayType: UInt32 { PostgresType.boolArray }
    public var postgresText: String? { self ? "t" : "f" }
}

/// Inferred, so that it fits smallint, integer and bigint alike, also as a function's argument.
extension Int: PostgresEncodable {
    public static var postgresArrayType: UInt32 { PostgresType.int8Array }
    public var postgresText: String? { String(self) }
}

extension Int16: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.int2 }
    public static var postgresArrayType: UInt32 { PostgresType.int2Array }
    public var postgresText: String? { String(self) }
}

extension Int32: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.int4 }
    public static var postgresArrayType: UInt32 { PostgresType.int4Array }
    public var postgresText: String? { String(self) }
}

extension Int64: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.int8 }
    public static var postgresArrayType: UInt32 { PostgresType.int8Array }
    public var postgresText: String? { String(self) }
}

extension Double: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.float8 }
    public static var postgresArrayType: UInt32 { PostgresType.float8Array }
    public var postgresText: String? {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Infinity" : "Infinity" }
        return String(self)
    }
}

extension Float: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.float4 }
    public static var postgresArrayType: UInt32 { PostgresType.float4Array }
    public var postgresText: String? { Double(self).isFinite ? String(self) : Double(self).postgresText }
}

extension UUID: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.uuid }
    public static var postgresArrayType: UInt32 { PostgresType.uuidArray }
    public var postgresText: String? { UUIDText.text(of: self) }
}

/// As `timestamptz`, to the microsecond; `distantPast` and `distantFuture` are `-infinity` and `infinity`.
extension Date: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.timestamptz }
    public static var postgresArrayType: UInt32 { PostgresType.timestamptzArray }
    public var postgresText: String? { TimestampText.text(of: self) }
}

/// As `interval`, to the microsecond.
extension Duration: PostgresEncodable {
    public static var postgresType: UInt32 { PostgresType.interval }
    public static var postgresArrayType: UInt32 { PostgresType.intervalArray }
    public var postgresText: String? {
        let (seconds, attoseconds) = components
        let microseconds = attoseconds / 1_000_000_000_000
        let sign = seconds < 0 || microseconds < 0 ? "-" : ""
        let fraction = String(microseconds.magnitude)
        let zeros = String(repeating: "0", count: 6 - fraction.count)
        return "\(sign)\(seconds.magnitude).\(zeros)\(fraction) seconds"
    }
}

/// As an array of one dimension.
extension Array: PostgresEncodable where Element: PostgresEncodable {
    public static var postgresType: UInt32 { Element.postgresArrayType }
    public var postgresText: String? { ArrayText.text(of: map(\.postgresText)) }
}

/// Bytes for a `bytea` column; they travel in binary form. In SQL an array of `UInt8` may stand for itself; where the
/// values are of protocol type (COPY) it is wrapped in this.
public struct Bytes: PostgresEncodable, Sendable, Hashable {
    public var bytes: [UInt8]

    public init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    public static var postgresType: UInt32 { PostgresType.bytea }
    public static var postgresArrayType: UInt32 { PostgresType.byteaArray }
    public var postgresText: String? { "\\x" + Hex.text(of: bytes) }
    public var postgresParameter: PostgresParameter { PostgresParameter(binary: bytes, type: PostgresType.bytea) }
}

extension SQL.Interpolation {
    /// Bytes go into `bytea`.
    public mutating func appendInterpolation(_ bytes: [UInt8]) {
        append(Bytes(bytes).postgresParameter)
    }

    public mutating func appendInterpolation(_ bytes: [UInt8]?) {
        append(bytes.map { Bytes($0).postgresParameter } ?? PostgresParameter(text: nil, type: PostgresType.bytea))
    }

    public mutating func appendInterpolation(_ data: Data) {
        append(Bytes(data).postgresParameter)
    }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    public static var postgresType: UInt32 { Wrapped.postgresType }
    public static var postgresArrayType: UInt32 { Wrapped.postgresArrayType }
    public var postgresText: String? { self?.postgresText ?? nil }
    public var postgresParameter: PostgresParameter {
        self?.postgresParameter ?? PostgresParameter(text: nil, type: Wrapped.postgresType)
    }
}
