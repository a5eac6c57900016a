import FoundationEssentials
import ServiceKit

/// One field of what the API shows: its name, its form and where its value comes from, in one place, so that the answer
/// and its description cannot part.
struct ShownField<Value>: Sendable {
    let field: Schema.Field
    let encode: @Sendable (Value, inout KeyedEncodingContainer<ColumnName>) throws -> Void

    /// Nil is shown as `null`.
    init<Shown: Encodable & SendableMetatype>(
        _ name: String, _ schema: Schema, _ description: String? = nil, _ get: @escaping @Sendable (Value) -> Shown
    ) {
        field = Schema.Field(name, schema, description)
        encode = { value, container in
            try container.encode(get(value), forKey: ColumnName(stringLiteral: name))
        }
    }
}

/// A record with what the API shows of it.
protocol Presentable: Sendable {
    static var shown: [ShownField<Self>] { get }
}

struct Presented<Value: Presentable>: Encodable, Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ColumnName.self)
        for field in Value.shown { try field.encode(value, &container) }
    }
}

extension Presentable {
    static var schema: Schema { .object(shown.map(\.field)) }
}

extension ShownField {
    /// The same field of something that contains it.
    init<Part>(_ field: ShownField<Part>, of part: @escaping @Sendable (Value) -> Part) {
        self.field = field.field
        self.encode = { value, container in try field.encode(part(value), &container) }
    }
}
