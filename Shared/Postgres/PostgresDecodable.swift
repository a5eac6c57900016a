public import FoundationEssentials

/// One cell of an answer. It points into the answer and may not be kept beyond the call that received it.
public struct PostgresCell {
    /// The server's text form; nil is NULL.
    let bytes: UnsafeBufferPointer<UInt8>?

    public var isNull: Bool { bytes == nil }

    /// The text form; nil is NULL.
    public var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// The text form of a cell that must have a value.
    public func requiredText() throws -> String {
        String(decoding: try requiredBytes(), as: UTF8.self)
    }

    func requiredBytes() throws -> UnsafeBufferPointer<UInt8> {
        guard let bytes else { throw DecodingProblem.null }
        return bytes
    }
}

/// Why a cell does not fit; turned into a `PostgresError` that names the column.
enum DecodingProblem: Error {
    case null
    case malformed
}

/// A value that can be read from an answer.
public protocol PostgresDecodable {
    static func decode(postgres cell: PostgresCell) throws -> Self
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Self {
        guard let value = Self(rawValue: try RawValue.decode(postgres: cell)) else { throw DecodingProblem.malformed }
        return value
    }
}

extension String: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> String { try cell.requiredText() }
}

extension Bool: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Bool {
        let bytes = try cell.requiredBytes()
        guard bytes.count == 1 else { throw DecodingProblem.malformed }
        switch bytes[0] {
        case UInt8(ascii: "t"): return true
        case UInt8(ascii: "f"): return false
        default: throw DecodingProblem.malformed
        }
    }
}

extension FixedWidthInteger where Self: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Self {
        guard let value = IntegerText.value(of: try cell.requiredBytes(), as: Self.self) else {
            throw DecodingProblem.malformed
        }
        return value
    }
}

extension Int: PostgresDecodable {}
extension Int16: PostgresDecodable {}
extension Int32: PostgresDecodable {}
extension Int64: PostgresDecodable {}

extension Double: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Double {
        guard let value = Double(try cell.requiredText()) else { throw DecodingProblem.malformed }
        return value
    }
}

extension Float: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Float {
        guard let value = Float(try cell.requiredText()) else { throw DecodingProblem.malformed }
        return value
    }
}

extension UUID: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> UUID {
        guard let value = UUIDText.value(of: try cell.requiredBytes()) else { throw DecodingProblem.malformed }
        return value
    }
}

extension Date: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Date {
        guard let value = TimestampText.date(of: try cell.requiredBytes()) else { throw DecodingProblem.malformed }
        return value
    }
}

extension Bytes: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Bytes {
        guard let value = Hex.bytes(of: try cell.requiredBytes()) else { throw DecodingProblem.malformed }
        return Bytes(value)
    }
}

extension Data: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Data {
        Data(try Bytes.decode(postgres: cell).bytes)
    }
}

/// Lets `[UInt8]` be read as `bytea`, though arrays of other things are the server's arrays.
extension UInt8: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> UInt8 {
        guard let value = IntegerText.value(of: try cell.requiredBytes(), as: UInt8.self) else {
            throw DecodingProblem.malformed
        }
        return value
    }
}

extension Array: PostgresDecodable where Element: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> [Element] {
        let bytes = try cell.requiredBytes()
        if Element.self == UInt8.self, bytes.first == UInt8(ascii: "\\"), let value = Hex.bytes(of: bytes) {
            // Proven by the comparison above: this is an array of UInt8.
            return value.compactMap { $0 as? Element }
        }
        guard let elements = ArrayText.elements(of: bytes) else { throw DecodingProblem.malformed }
        return try elements.map { element in
            guard var text = element else { return try Element.decode(postgres: PostgresCell(bytes: nil)) }
            return try text.withUTF8 { try Element.decode(postgres: PostgresCell(bytes: $0)) }
        }
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    public static func decode(postgres cell: PostgresCell) throws -> Wrapped? {
        cell.isNull ? nil : try Wrapped.decode(postgres: cell)
    }
}
