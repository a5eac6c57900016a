/// A value of an AMQP field table, such as a message header or a queue argument.
///
/// Every integer width that the protocol knows is read as ``int(_:)``; integers are written as 64-bit ones, which every
/// broker accepts in every place where it accepts a narrower one.
public enum AMQPValue: Sendable, Hashable {
    case bool(Bool)
    case int(Int64)
    case double(Double)
    /// `unscaled` × 10^-`scale`.
    case decimal(scale: UInt8, unscaled: UInt32)
    case string(String)
    case bytes([UInt8])
    /// Seconds since 1970-01-01T00:00:00Z.
    case timestamp(UInt64)
    case array([AMQPValue])
    case table([String: AMQPValue])
    case null
}

extension AMQPValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension AMQPValue {
    /// The text of a ``string(_:)``, otherwise `nil`.
    public var stringValue: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The number of an ``int(_:)``, otherwise `nil`.
    public var intValue: Int64? {
        if case .int(let number) = self { number } else { nil }
    }

    /// How deep tables and arrays may lie in each other, in either direction: the decoder recurses on the event loop's
    /// stack, so depth is bounded before it sees a byte.
    static let maximumDepth = 16

    /// An upper bound of the bytes that the value takes on the wire, its kind byte included.
    var encodedSizeBound: Int {
        switch self {
        case .bool, .null: 2
        case .int, .double, .timestamp, .decimal: 9
        case .string(let text): 5 + text.utf8.count
        case .bytes(let bytes): 5 + bytes.count
        case .array(let values): values.reduce(5) { $0 + $1.encodedSizeBound }
        case .table(let table): 1 + table.encodedSizeBound
        }
    }

    /// Levels of nesting; a scalar has 0.
    var depth: Int {
        switch self {
        case .array(let values): 1 + (values.lazy.map(\.depth).max() ?? 0)
        case .table(let table): 1 + (table.values.lazy.map(\.depth).max() ?? 0)
        default: 0
        }
    }
}

extension [String: AMQPValue] {
    /// An upper bound of the bytes that the table takes on the wire, its length word included.
    var encodedSizeBound: Int {
        reduce(4) { $0 + 1 + $1.key.utf8.count + $1.value.encodedSizeBound }
    }
}
