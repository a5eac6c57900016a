/// The form of a value, in the part of JSON Schema 2020-12 that OpenAPI 3.1 documents of Sluice use.
public indirect enum Schema: Sendable, Hashable {
    case any
    case string(format: String? = nil, minLength: Int? = nil, maxLength: Int? = nil, pattern: String? = nil)
    case integer(minimum: Int? = nil, maximum: Int? = nil)
    case number(minimum: Double? = nil, maximum: Double? = nil)
    case boolean
    case words([String])
    case array(of: Schema, minItems: Int? = nil, maxItems: Int? = nil)
    /// Exactly these fields, unless `open`.
    case object([Field], open: Bool = false)
    /// Any names, one form of value.
    case map(of: Schema)
    case nullable(Schema)
    case oneOf([Schema])
    /// `#/components/schemas/<name>`; the document must define it.
    case reference(String)
    case described(Schema, String)

    public struct Field: Sendable, Hashable {
        public var name: String
        public var schema: Schema
        public var isRequired: Bool
        public var description: String?

        public init(_ name: String, _ schema: Schema, required: Bool = true, _ description: String? = nil) {
            self.name = name
            self.schema = schema
            self.isRequired = required
            self.description = description
        }
    }
}

extension Schema {
    public static let uuid = Schema.string(format: "uuid")
    /// RFC 3339.
    public static let time = Schema.string(format: "date-time")
    public static let uri = Schema.string(format: "uri")

    public static func text(_ length: ClosedRange<Int>) -> Schema {
        .string(minLength: length.lowerBound, maxLength: length.upperBound)
    }

    public static func integer(_ range: ClosedRange<Int>) -> Schema {
        .integer(minimum: range.lowerBound, maximum: range.upperBound)
    }

    public static func number(_ range: ClosedRange<Double>) -> Schema {
        .number(minimum: range.lowerBound, maximum: range.upperBound)
    }

    public static func word<Word: RawRepresentable & CaseIterable>(_ type: Word.Type) -> Schema
    where Word.RawValue == String {
        .words(type.allCases.map(\.rawValue))
    }

    /// Degrees, CRS84.
    public static let coordinate = Schema.object([
        Field("lon", .number(minimum: -180, maximum: 180)), Field("lat", .number(minimum: -90, maximum: 90)),
    ])

    /// A page of a list.
    public static func page(of item: Schema) -> Schema {
        .object([
            Field("items", .array(of: item)),
            Field("next", .nullable(.string()), "Where the next page begins; null on the last one."),
        ])
    }

    /// What every error looks like.
    static let problem = Schema.object([
        Field("type", .string(format: "uri-reference")), Field("title", .string()),
        Field("status", .integer(400...599)),
        Field("code", .string()), Field("detail", .string()), Field("detail_zh", .string()),
        Field(
            "errors",
            .array(
                of: .object([
                    Field("field", .string()), Field("code", .string()), Field("detail", .string()),
                    Field("detail_zh", .string()), Field("allowed", .array(of: .string()), required: false),
                ]))), Field("trace_id", .string(), required: false),
    ])
}

extension Schema {
    fileprivate var orNull: Schema {
        switch self {
        case .any, .nullable: self
        case .described(let schema, let description): .described(schema.orNull, description)
        default: .nullable(self)
        }
    }

    /// Writes the members of the schema's object.
    func write(_ writer: inout JSONWriter) {
        switch self {
        case .any: break
        case .string(let format, let minLength, let maxLength, let pattern):
            writer.field("type", "string")
            if let format { writer.field("format", format) }
            if let minLength { writer.field("minLength", minLength) }
            if let maxLength { writer.field("maxLength", maxLength) }
            if let pattern { writer.field("pattern", pattern) }
        case .integer(let minimum, let maximum):
            writer.field("type", "integer")
            if let minimum { writer.field("minimum", minimum) }
            if let maximum { writer.field("maximum", maximum) }
        case .number(let minimum, let maximum):
            writer.field("type", "number")
            if let minimum { writer.field("minimum", minimum) }
            if let maximum { writer.field("maximum", maximum) }
        case .boolean: writer.field("type", "boolean")
        case .words(let words):
            writer.field("type", "string")
            writer.array("enum", words) { word, item in item.string(word) }
        case .array(let item, let minItems, let maxItems):
            writer.field("type", "array")
            writer.object("items") { item.write(&$0) }
            if let minItems { writer.field("minItems", minItems) }
            if let maxItems { writer.field("maxItems", maxItems) }
        case .object(let fields, let open):
            writer.field("type", "object")
            writer.object("properties") { properties in
                for field in fields {
                    properties.object(field.name) { member in
                        // Null says the same as leaving it out: many clients cannot tell the two apart.
                        (field.isRequired ? field.schema : field.schema.orNull).write(&member)
                        if let description = field.description { member.field("description", description) }
                    }
                }
            }
            writer.array("required", fields.filter(\.isRequired).map(\.name)) { name, item in item.string(name) }
            if !open { writer.field("additionalProperties", false) }
        case .map(let value):
            writer.field("type", "object")
            writer.object("additionalProperties") { value.write(&$0) }
        case .nullable(let schema):
            writer.array("anyOf", [schema, nil]) { option, item in
                item.object { if let option { option.write(&$0) } else { $0.field("type", "null") } }
            }
        case .oneOf(let options):
            writer.array("oneOf", options) { option, item in item.object { option.write(&$0) } }
        case .reference(let name): writer.field("$ref", "#/components/schemas/\(name)")
        case .described(let schema, let description):
            schema.write(&writer)
            writer.field("description", description)
        }
    }
}
