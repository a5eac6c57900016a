public import HTTPTypes
public import Model

/// What one route does, said next to its handler: the OpenAPI document is made of these, and nothing can be registered
/// without one.
public struct Operation: Sendable {
    /// Who may call it.
    public enum Access: Sendable, Hashable {
        case anyone
        case signedIn
        case roles([Role])

        public static func roles(_ roles: Role...) -> Access { .roles(roles) }
    }

    public struct Parameter: Sendable, Hashable {
        public enum Place: String, Sendable { case path, query, header }

        public var name: String
        public var place: Place
        public var schema: Schema
        public var isRequired: Bool
        public var description: String?

        public init(
            _ name: String, _ schema: Schema, in place: Place = .query, required: Bool = false,
            _ description: String? = nil
        ) {
            self.name = name
            self.place = place
            self.schema = schema
            self.isRequired = required || place == .path
            self.description = description
        }

        public static func query(
            _ name: String, _ schema: Schema, required: Bool = false, _ description: String? = nil
        ) -> Parameter {
            Parameter(name, schema, in: .query, required: required, description)
        }

        public static func path(_ name: String, _ schema: Schema, _ description: String? = nil) -> Parameter {
            Parameter(name, schema, in: .path, required: true, description)
        }
    }

    /// A body, by content type.
    public struct Content: Sendable, Hashable {
        public var types: [(type: String, schema: Schema)]

        public static func == (left: Content, right: Content) -> Bool {
            left.types.map(\.type) == right.types.map(\.type) && left.types.map(\.schema) == right.types.map(\.schema)
        }

        public func hash(into hasher: inout Hasher) {
            for (type, schema) in types {
                hasher.combine(type)
                hasher.combine(schema)
            }
        }

        public static func json(_ schema: Schema) -> Content { Content(types: [("application/json", schema)]) }

        public static func of(_ types: (String, Schema)...) -> Content {
            Content(types: types.map { (type: $0.0, schema: $0.1) })
        }

        /// Bytes of that media type.
        public static func bytes(_ type: String) -> Content { Content(types: [(type, .string(format: "binary"))]) }
    }

    public struct Answer: Sendable, Hashable {
        public var status: HTTPResponse.Status
        public var description: String
        public var content: Content?
        /// The answer has an `ETag`.
        public var isVersioned: Bool

        public init(
            _ status: HTTPResponse.Status, _ description: String, _ content: Content? = nil, versioned: Bool = false
        ) {
            self.status = status
            self.description = description
            self.content = content
            self.isVersioned = versioned
        }

        public static func ok(_ schema: Schema, _ description: String = "OK", versioned: Bool = false) -> Answer {
            Answer(.ok, description, .json(schema), versioned: versioned)
        }

        public static func created(
            _ schema: Schema, _ description: String = "Created", versioned: Bool = false
        ) -> Answer {
            Answer(.created, description, .json(schema), versioned: versioned)
        }

        public static let noContent = Answer(.noContent, "Done")
    }

    public var method: HTTPRequest.Method
    /// With `{name}` where parameters stand.
    public var path: String
    public var summary: String
    public var description: String?
    public var tag: String
    public var access: Access
    public var parameters: [Parameter]
    public var body: Content?
    public var answers: [Answer]
    /// Needs `Idempotency-Key`.
    public var isIdempotent: Bool
    /// Needs `If-Match`.
    public var isConditional: Bool
    /// A list with `limit` and `cursor`.
    public var isPaged: Bool

    /// - Parameter tag: the resource, the path's second part if not given.
    public init(
        _ method: HTTPRequest.Method, _ path: String, _ summary: String, access: Access, tag: String? = nil,
        description: String? = nil, parameters: [Parameter] = [], body: Content? = nil, answers: [Answer],
        idempotent: Bool = false, conditional: Bool = false, paged: Bool = false
    ) {
        self.method = method
        self.path = path
        self.summary = summary
        self.description = description
        let parts = path.split(separator: "/")
        self.tag = tag ?? parts.dropFirst(parts.first == "v1" ? 1 : 0).first.map(String.init) ?? "service"
        self.access = access
        self.parameters = parameters
        self.body = body
        self.answers = answers
        self.isIdempotent = idempotent
        self.isConditional = conditional
        self.isPaged = paged
    }

    /// The parameters that are said, and those that follow from the rest.
    var allParameters: [Parameter] {
        var all = parameters
        for part in path.split(separator: "/") where part.hasPrefix("{") && part.hasSuffix("}") {
            let name = String(part.dropFirst().dropLast())
            if !all.contains(where: { $0.place == .path && $0.name == name }) {
                all.append(.path(name, .uuid))
            }
        }
        if isPaged {
            all.append(.query("limit", .integer(PageRequest.limits), "Items a page; 50 if not given."))
            all.append(.query("cursor", .text(1...2_000), "`next` of the page before."))
        }
        if isIdempotent {
            all.append(
                Parameter(
                    "Idempotency-Key", .string(minLength: 8, maxLength: 200, pattern: "^[\\x21-\\x7E]{8,200}$"),
                    in: .header, required: true,
                    "A new random text for each thing to do; the same one when the same thing is tried again."))
        }
        if isConditional {
            all.append(
                Parameter(
                    "If-Match", .string(pattern: "^\"[0-9]{1,18}\"$"), in: .header, required: true,
                    "The ETag of the version that the decision is based on."))
        }
        return all
    }

    /// A name for generated clients: `get_v1_cases_id`.
    var operationID: String {
        let words = path.split { $0 == "/" || $0 == "{" || $0 == "}" || $0 == "-" || $0 == "." }
        return ([method.rawValue.lowercased()] + words.map(String.init)).joined(separator: "_")
    }
}
