public import HTTPTypes

// For tests: is what a service answers what its document says?

extension OpenAPIDocument {
    /// What an answer has that the document does not say, and what it lacks. Empty if it conforms.
    ///
    /// - Parameters:
    ///   - path: as it was requested, without the query.
    ///   - body: the answer's bytes.
    public func violations(
        _ method: HTTPRequest.Method, _ path: String, status: HTTPResponse.Status, contentType: String?, body: [UInt8]
    ) -> [String] {
        guard let operation = operation(method, path) else { return ["\(method) \(path) is not described"] }
        let name = "\(method) \(operation.path) \(status.code)"
        if contentType == Problem.contentType {
            return Self.read(body).map { violations($0, Schema.problem, at: name) } ?? [
                "\(name): the problem is not JSON"
            ]
        }
        guard let answer = operation.answers.first(where: { $0.status == status }) else {
            return ["\(name) is not described"]
        }
        guard let content = answer.content else { return body.isEmpty ? [] : ["\(name) is described without a body"] }
        let type = (contentType ?? "").split(separator: ";").first.map(String.init) ?? ""
        guard let schema = content.types.first(where: { $0.type == type })?.schema else {
            return ["\(name): the content type \(type) is not described"]
        }
        guard type.hasSuffix("json") else { return [] }
        return Self.read(body).map { violations($0, schema, at: name) } ?? ["\(name): the body is not JSON"]
    }

    private static func read(_ body: [UInt8]) -> JSONNode? { try? JSONReader.read(body) }

    private func operation(_ method: HTTPRequest.Method, _ path: String) -> Operation? {
        let parts = path.split(separator: "/")
        return operations.filter { $0.method == method }.first { operation in
            let template = operation.path.split(separator: "/")
            return template.count == parts.count && zip(template, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
    }

    private func violations(_ node: JSONNode, _ schema: Schema, at path: String) -> [String] {
        func wrong(_ wanted: String) -> [String] { ["\(path): \(wanted) is described, \(node.kind.english) was sent"] }
        switch schema {
        case .any: return []
        case .described(let schema, _): return violations(node, schema, at: path)
        case .reference(let name):
            let found = name == "Problem" ? Schema.problem : schemas.first { $0.name == name }?.schema
            return found.map { violations(node, $0, at: path) } ?? ["\(path): \(name) is not defined"]
        case .nullable(let schema):
            if case .null = node { return [] }
            return violations(node, schema, at: path)
        case .oneOf(let options):
            let fitting = options.filter { violations(node, $0, at: path).isEmpty }.count
            return fitting == 1 ? [] : ["\(path): \(fitting) of the described forms fit, one should"]
        case .boolean:
            if case .bool = node { return [] }
            return wrong("true or false")
        case .integer(let minimum, let maximum):
            guard case .number(let text) = node, let value = Int(text) else { return wrong("a whole number") }
            return value >= minimum ?? .min && value <= maximum ?? .max ? [] : ["\(path) is out of range"]
        case .number(let minimum, let maximum):
            guard case .number(let text) = node, let value = Double(text) else { return wrong("a number") }
            return value >= minimum ?? -.infinity && value <= maximum ?? .infinity ? [] : ["\(path) is out of range"]
        case .string(_, let minLength, let maxLength, _):
            guard case .string(let text) = node else { return wrong("a string") }
            let length = text.unicodeScalars.count
            return length >= minLength ?? 0 && length <= maxLength ?? .max ? [] : ["\(path) has the wrong length"]
        case .words(let words):
            guard case .string(let text) = node else { return wrong("a string") }
            return words.contains(text) ? [] : ["\(path) is a word that is not described"]
        case .array(let item, let minItems, let maxItems):
            guard case .array(let nodes) = node else { return wrong("an array") }
            let isFitting = nodes.count >= minItems ?? 0 && nodes.count <= maxItems ?? .max
            return (isFitting ? [] : ["\(path) has the wrong number of items"])
                + nodes.enumerated().flatMap { violations($1, item, at: "\(path)[\($0)]") }
        case .map(let value):
            guard case .object(let object) = node else { return wrong("an object") }
            return zip(object.names, object.values).flatMap { violations($1, value, at: "\(path).\($0)") }
        case .object(let fields, let open):
            guard case .object(let object) = node else { return wrong("an object") }
            return violations(object, fields, open: open, at: path)
        }
    }

    private func violations(_ object: JSONObject, _ fields: [Schema.Field], open: Bool, at path: String) -> [String] {
        var found: [String] = []
        for field in fields {
            if let position = object.names.firstIndex(of: field.name) {
                let schema = field.isRequired ? field.schema : .nullable(field.schema)
                found += violations(object.values[position], schema, at: "\(path).\(field.name)")
            } else if field.isRequired {
                found.append("\(path).\(field.name) is missing")
            }
        }
        if !open {
            let described = Set(fields.map(\.name))
            found += object.names.filter { !described.contains($0) }.map { "\(path).\($0) is not described" }
        }
        return found
    }
}
