import HTTPTypes
public import Hummingbird
public import Model
import NIOCore

/// The OpenAPI 3.1 document of a service, made of the operations that its routes were registered with.
public struct OpenAPIDocument: Sendable {
    public let service: ServiceName
    public var title: String
    public var summary: String
    public private(set) var operations: [Operation] = []
    public private(set) var schemas: [(name: String, schema: Schema)] = []

    public init(service: ServiceName, title: String, summary: String) {
        self.service = service
        self.title = title
        self.summary = summary
    }

    /// Gives a form a name. Answers the reference to use.
    @discardableResult
    public mutating func define(_ name: String, _ schema: Schema) -> Schema {
        schemas.append((name, schema))
        return .reference(name)
    }

    public mutating func append(_ operation: Operation) { operations.append(operation) }

    /// Where the document itself is found.
    public var path: String { "/\(service.rawValue)/openapi.json" }

    // MARK: Rendering

    /// The document as JSON.
    public func json() -> [UInt8] {
        var writer = JSONWriter(capacity: 16_384)
        writer.object { root in
            root.field("openapi", "3.1.0")
            root.object("info") { info in
                info.field("title", title)
                info.field("summary", summary)
                info.field("version", "1")
            }
            root.object("paths") { paths in
                for path in orderedPaths {
                    paths.object(path) { item in
                        for operation in operations where operation.path == path { write(operation, &item) }
                    }
                }
            }
            root.object("components") { components in
                components.object("schemas") { all in
                    all.object("Problem") { Schema.problem.write(&$0) }
                    for (name, schema) in schemas { all.object(name) { schema.write(&$0) } }
                }
                components.object("responses") { all in
                    all.object("Problem") { response in
                        response.field("description", "What is wrong, with the fields at fault.")
                        response.object("content") { content in
                            content.object(Problem.contentType) { media in
                                media.object("schema") { $0.field("$ref", "#/components/schemas/Problem") }
                            }
                        }
                    }
                }
                components.object("securitySchemes") { all in
                    all.object("bearer") { scheme in
                        scheme.field("type", "http")
                        scheme.field("scheme", "bearer")
                        scheme.field("bearerFormat", "JWT")
                    }
                    all.object("cookie") { scheme in
                        scheme.field("type", "apiKey")
                        scheme.field("in", "cookie")
                        scheme.field("name", Token.cookie)
                    }
                }
            }
        }
        return writer.bytes
    }

    private var orderedPaths: [String] {
        var seen: Set<String> = []
        return operations.map(\.path).filter { seen.insert($0).inserted }
    }

    private func write(_ operation: Operation, _ item: inout JSONWriter) {
        item.object(operation.method.rawValue.lowercased()) { object in
            object.field("operationId", operation.operationID)
            object.field("summary", operation.summary)
            if let description = operation.description { object.field("description", description) }
            object.array("tags", [operation.tag]) { tag, item in item.string(tag) }
            if operation.access != .anyone {
                object.array("security", ["bearer", "cookie"]) { scheme, item in
                    item.object { $0.array(scheme, [String]()) { _, _ in } }
                }
            }
            if case .roles(let roles) = operation.access {
                object.array("x-roles", roles.map(\.rawValue)) { role, item in item.string(role) }
            }
            let parameters = operation.allParameters
            if !parameters.isEmpty {
                object.array("parameters", parameters) { parameter, item in Self.write(parameter, &item) }
            }
            if let body = operation.body {
                object.object("requestBody") { request in
                    request.field("required", true)
                    Self.write(body, &request)
                }
            }
            object.object("responses") { responses in
                for answer in operation.answers { Self.write(answer, &responses) }
                for status in operation.problemStatuses {
                    responses.object(String(status)) { $0.field("$ref", "#/components/responses/Problem") }
                }
                responses.object("default") { $0.field("$ref", "#/components/responses/Problem") }
            }
        }
    }

    private static func write(_ parameter: Operation.Parameter, _ item: inout JSONWriter) {
        item.object { object in
            object.field("name", parameter.name)
            object.field("in", parameter.place.rawValue)
            if parameter.isRequired { object.field("required", true) }
            if let description = parameter.description { object.field("description", description) }
            object.object("schema") { parameter.schema.write(&$0) }
        }
    }

    private static func write(_ content: Operation.Content, _ object: inout JSONWriter) {
        object.object("content") { types in
            for (type, schema) in content.types {
                types.object(type) { media in media.object("schema") { schema.write(&$0) } }
            }
        }
    }

    private static func write(_ answer: Operation.Answer, _ responses: inout JSONWriter) {
        responses.object(String(answer.status.code)) { response in
            response.field("description", answer.description)
            if answer.isVersioned {
                response.object("headers") { headers in
                    headers.object("ETag") { header in
                        header.field("description", "The version; send it in If-Match.")
                        header.object("schema") { Schema.string().write(&$0) }
                    }
                }
            }
            if let content = answer.content { write(content, &response) }
        }
    }

    // MARK: Truth

    /// What the document says that the router does not do, and what the router does that it does not say. Empty if they
    /// agree; a test of every service asks.
    public func differences<Context>(from router: Router<Context>) -> [String] {
        let routed = Set(router.routes.map { "\($0.method.rawValue) \(Self.template($0.path.description))" })
        let described = Set(operations.map { "\($0.method.rawValue) \($0.path)" })
        let names = Dictionary(grouping: operations.map(\.operationID)) { $0 }.filter { $1.count > 1 }.keys
        let references = Set(schemas.map(\.name))
        let undefined = operations.flatMap(\.references).filter { !references.contains($0) && $0 != "Problem" }
        return routed.subtracting(described).sorted().map { "\($0) has no description" }
            + described.subtracting(routed).sorted().map { "\($0) has no handler" }
            + names.sorted().map { "\($0) is the name of two operations" }
            + Set(undefined).sorted().map { "schema \($0) is not defined" }
    }

    /// Hummingbird prints `/v1/cases/{id}` with or without the leading slash.
    private static func template(_ path: String) -> String { path.hasPrefix("/") ? path : "/" + path }

    /// Which methods a path has; nil if it is no path of this service.
    func methods(at path: String) -> [HTTPRequest.Method]? {
        let parts = path.split(separator: "/")
        let found = operations.filter { operation in
            let template = operation.path.split(separator: "/")
            return template.count == parts.count
                && zip(template, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        return found.isEmpty ? nil : found.map(\.method)
    }
}

extension Operation {
    /// The problems that this operation can answer with, besides what any request may meet (`default`).
    var problemStatuses: [Int] {
        var statuses: Set<Int> = [429, 500, 503]
        let parameters = allParameters
        if access != .anyone { statuses.formUnion([401, 403]) }
        if parameters.contains(where: { $0.place == .path }) { statuses.insert(404) }
        if parameters.contains(where: { $0.place == .query }) { statuses.formUnion([400, 422]) }
        if body != nil { statuses.formUnion([400, 413, 415, 422]) }
        if isIdempotent { statuses.formUnion([400, 409, 422]) }
        if isConditional { statuses.formUnion([409, 412, 422, 428]) }
        for answer in answers { statuses.remove(answer.status.code) }
        return statuses.sorted()
    }

    var references: [String] {
        let contents = [body].compactMap { $0 } + answers.compactMap(\.content)
        return contents.flatMap { $0.types.flatMap { $0.schema.references } }
            + parameters.flatMap { $0.schema.references }
    }
}

extension Schema {
    var references: [String] {
        switch self {
        case .reference(let name): [name]
        case .array(let item, _, _): item.references
        case .object(let fields, _): fields.flatMap { $0.schema.references }
        case .map(let value): value.references
        case .nullable(let schema), .described(let schema, _): schema.references
        case .oneOf(let options): options.flatMap { $0.references }
        default: []
        }
    }
}

extension Router where Context == APIContext {
    /// Registers a handler and its description together, so that neither exists without the other.
    public func add(
        _ document: inout OpenAPIDocument, _ operation: Operation,
        use handler: @escaping @Sendable (Request, APIContext) async throws -> some ResponseGenerator
    ) {
        document.append(operation)
        on(RouterPath(operation.path), method: operation.method) { request, context in
            try await handler(request, context)
        }
    }
}
