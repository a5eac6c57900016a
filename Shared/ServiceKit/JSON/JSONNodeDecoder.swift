import FoundationEssentials
import Model

/// Turns what was read into a type, and every mistake into the path of a field with what would have been accepted.
struct JSONNodeDecoder: Decoder {
    let node: JSONNode
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    /// Decodes a whole body. Fields that the type never asked for are errors, all named at once, unless they are ignored.
    static func decode<T: Decodable>(
        _ type: T.Type, from node: JSONNode, ignoringUnknown: Bool = false
    ) throws(Problem) -> T {
        let value: T
        do {
            value = try JSONNodeDecoder(node: node, codingPath: []).value(type)
        } catch let problem as Problem {
            throw problem
        } catch let error as DecodingError {
            throw .invalid([fieldError(error)])
        } catch let fault as FieldError.Thrown {
            throw .invalid([fault.error])
        } catch {
            throw .malformed("The body does not have the form that is wanted here.", zh: "请求体格式不正确。")
        }
        if ignoringUnknown { return value }
        var unknown: [FieldError] = []
        collectUnknown(node, path: [], into: &unknown)
        if !unknown.isEmpty { throw .invalid(unknown) }
        return value
    }

    private static func collectUnknown(_ node: JSONNode, path: [any CodingKey], into errors: inout [FieldError]) {
        // A hostile body may have thousands; twenty are enough to learn from.
        guard errors.count < 20 else { return }
        switch node {
        case .array(let items):
            for (index, item) in items.enumerated() {
                collectUnknown(item, path: path + [JSONKey(intValue: index)], into: &errors)
            }
        case .object(let object) where object.wasRead:
            for name in object.unwanted.prefix(20) {
                errors.append(
                    FieldError(
                        JSONPath.text(path + [JSONKey(stringValue: String(name.prefix(100)))]), code: "unknown_field",
                        "There is no such field here.", zh: "没有这个字段。"))
            }
            let unwanted = Set(object.unwanted)
            for (name, value) in zip(object.names, object.values) where !unwanted.contains(name) {
                collectUnknown(value, path: path + [JSONKey(stringValue: name)], into: &errors)
            }
        default: return
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let object) = node else { throw mismatch(.object) }
        object.beginReading()
        return KeyedDecodingContainer(KeyedNodes(object: object, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let items) = node else { throw mismatch(.array) }
        return UnkeyedNodes(items: items, codingPath: codingPath)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { SingleNode(decoder: self) }
}

// MARK: - Scalars

extension JSONNodeDecoder {
    func value<T: Decodable>(_ type: T.Type) throws -> T {
        if type == UUID.self {
            guard case .string(let text) = node else { throw mismatch(.string) }
            guard let uuid = UUID(uuidString: text) as? T else {
                throw fault("uuid", "A UUID is wanted.", zh: "应为 UUID。")
            }
            return uuid
        }
        if type == Timestamp.self {
            guard case .string(let text) = node else { throw mismatch(.string) }
            guard let time = Timestamp(text) as? T else {
                throw fault(
                    "time", "An RFC 3339 time is wanted, such as 2026-07-01T08:30:00+08:00.",
                    zh: "应为 RFC 3339 时间，例如 2026-07-01T08:30:00+08:00。")
            }
            return time
        }
        if let words = type as? any (CaseIterable & RawRepresentable).Type {
            return try word(of: words, as: type)
        }
        return try T(from: self)
    }

    /// One of an enum's words; an unknown one is answered with the list.
    private func word<T: Decodable>(of words: any (CaseIterable & RawRepresentable).Type, as type: T.Type) throws -> T {
        guard let allowed = JSONNodeDecoder.rawTexts(words) else { return try T(from: self) }
        guard case .string(let text) = node else { throw mismatch(.string) }
        guard allowed.contains(text) else {
            throw fault(
                "not_allowed", "One of these is wanted: \(allowed.joined(separator: ", ")).",
                zh: "应为以下之一：\(allowed.joined(separator: "、"))。", allowed: allowed)
        }
        return try T(from: self)
    }

    private static func rawTexts<W: CaseIterable & RawRepresentable>(_ words: W.Type) -> [String]? {
        guard W.RawValue.self == String.self else { return nil }
        return words.allCases.compactMap { $0.rawValue as? String }
    }

    func bool() throws -> Bool {
        guard case .bool(let value) = node else { throw mismatch(.bool) }
        return value
    }

    func string() throws -> String {
        guard case .string(let value) = node else { throw mismatch(.string) }
        return value
    }

    func integer<I: FixedWidthInteger>(_ type: I.Type) throws -> I {
        guard case .number(let text) = node else { throw mismatch(.integer) }
        if let value = I(text) { return value }
        // 2.0 and 2e3 are whole numbers too.
        guard let number = Double(text), let value = I(exactly: number) else {
            throw fault(
                "integer", "A whole number from \(I.min) to \(I.max) is wanted.", zh: "应为 \(I.min) 到 \(I.max) 的整数。")
        }
        return value
    }

    func double() throws -> Double {
        guard case .number(let text) = node else { throw mismatch(.number) }
        guard let value = Double(text), value.isFinite else {
            throw fault("range", "This number is out of range.", zh: "数值超出范围。")
        }
        return value
    }

    // MARK: Errors

    func mismatch(_ wanted: JSONKind) -> FieldError.Thrown {
        fault(
            "type", "\(capitalised(wanted.english)) is wanted here, not \(node.kind.english).",
            zh: "此处应为\(wanted.chinese)，而不是\(node.kind.chinese)。")
    }

    func fault(_ code: String, _ detail: String, zh: String, allowed: [String]? = nil) -> FieldError.Thrown {
        FieldError.Thrown(
            error: FieldError(JSONPath.text(codingPath), code: code, detail, zh: zh, allowed: allowed))
    }

    private func capitalised(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }

    static func missing(_ path: [any CodingKey]) -> FieldError.Thrown {
        FieldError.Thrown(
            error: FieldError(JSONPath.text(path), code: "missing", "This field is required.", zh: "缺少必填字段。"))
    }

    /// An error that a type's own `init(from:)` threw. What the type says is shown, except that the standard library's
    /// own sentences repeat the value.
    private static func fieldError(_ error: DecodingError) -> FieldError {
        switch error {
        case .keyNotFound(let key, let context): return missing(context.codingPath + [key]).error
        case .valueNotFound(_, let context): return missing(context.codingPath).error
        case .typeMismatch(_, let context):
            return FieldError(
                JSONPath.text(context.codingPath), code: "type", "This value has the wrong type.", zh: "值的类型不正确。")
        case .dataCorrupted(let context):
            let isOurs = !context.debugDescription.hasPrefix("Cannot initialize")
            return FieldError(
                JSONPath.text(context.codingPath), code: "value",
                isOurs ? "Not accepted: \(context.debugDescription)." : "This value is not accepted here.", zh: "值不被接受。"
            )
        @unknown default:
            return FieldError("", code: "value", "This value is not accepted here.", zh: "值不被接受。")
        }
    }
}

extension FieldError {
    /// A field error on its way out of a decoder.
    struct Thrown: Error { let error: FieldError }
}
