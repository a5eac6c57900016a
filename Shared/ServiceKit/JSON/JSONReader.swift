/// Reads one JSON text (RFC 8259) and refuses what would hurt later: broken UTF-8, nesting deeper than `depthLimit`
/// (checked while reading, before anything recursive sees it), duplicate names, numbers that are none, U+0000 (which
/// PostgreSQL cannot store) and half surrogate pairs.
struct JSONReader {
    static let depthLimit = 32
    /// Values in one text. A megabyte of `0,0,0` would otherwise take forty megabytes.
    static let valueLimit = 100_000

    private let bytes: [UInt8]
    private var position = 0
    private var path: [JSONKey] = []
    private var values = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    static func read(_ bytes: [UInt8]) throws(Problem) -> JSONNode {
        var reader = JSONReader(bytes)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { reader.position = 3 }
        reader.skipBlanks()
        guard reader.position < bytes.count else {
            throw .malformed("The body is empty; JSON is wanted.", zh: "请求体为空，应为 JSON。")
        }
        let node = try reader.value(depth: 0)
        reader.skipBlanks()
        guard reader.position == bytes.count else { throw reader.broken() }
        return node
    }

    // MARK: Values

    private mutating func value(depth: Int) throws(Problem) -> JSONNode {
        values += 1
        if values > Self.valueLimit {
            throw fault(
                "too_many_values", "The body may have at most \(Self.valueLimit) values.",
                zh: "请求体最多包含 \(Self.valueLimit) 个值。")
        }
        guard position < bytes.count else { throw broken() }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(Problem) -> JSONNode {
        try checkDepth(depth)
        position += 1
        var names: [String] = []
        var values: [JSONNode] = []
        var positions: [String: Int]?
        skipBlanks()
        if take("}") { return .object(JSONObject(names: [], values: [], positions: nil)) }
        while true {
            skipBlanks()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { throw broken() }
            let name = try string()
            path.append(JSONKey(stringValue: name))
            let isDuplicate = positions.map { $0[name] != nil } ?? names.contains(name)
            if isDuplicate {
                throw fault("duplicate", "This field is given twice.", zh: "字段重复。")
            }
            skipBlanks()
            guard take(":") else { throw broken() }
            skipBlanks()
            let value = try value(depth: depth)
            path.removeLast()
            positions?[name] = names.count
            names.append(name)
            values.append(value)
            if positions == nil, names.count == 16 {
                positions = Dictionary(uniqueKeysWithValues: zip(names, names.indices))
            }
            skipBlanks()
            if take(",") { continue }
            guard take("}") else { throw broken() }
            return .object(JSONObject(names: names, values: values, positions: positions))
        }
    }

    private mutating func array(depth: Int) throws(Problem) -> JSONNode {
        try checkDepth(depth)
        position += 1
        var items: [JSONNode] = []
        skipBlanks()
        if take("]") { return .array([]) }
        while true {
            skipBlanks()
            path.append(JSONKey(intValue: items.count))
            items.append(try value(depth: depth))
            path.removeLast()
            skipBlanks()
            if take(",") { continue }
            guard take("]") else { throw broken() }
            return .array(items)
        }
    }

    private mutating func word(_ text: StaticString, _ node: JSONNode) throws(Problem) -> JSONNode {
        for byte in text.description.utf8 {
            guard position < bytes.count, bytes[position] == byte else { throw broken() }
            position += 1
        }
        return node
    }

    private mutating func number() throws(Problem) -> JSONNode {
        let start = position
        _ = take("-")
        if !take("0") { guard digits() else { throw broken() } }
        if take(".") { guard digits() else { throw broken() } }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            guard digits() else { throw broken() }
        }
        return .number(String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private mutating func digits() -> Bool {
        let start = position
        while position < bytes.count, (0x30...0x39).contains(bytes[position]) { position += 1 }
        return position > start
    }

    // MARK: Small things

    private mutating func skipBlanks() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private func checkDepth(_ depth: Int) throws(Problem) {
        if depth > Self.depthLimit {
            throw Problem.malformed(
                "The JSON is nested deeper than \(Self.depthLimit) levels.", zh: "JSON 嵌套超过 \(Self.depthLimit) 层。")
        }
    }

    private func broken() -> Problem {
        .malformed("The body is not valid JSON (at byte \(position)).", zh: "请求体不是有效的 JSON（第 \(position) 字节）。")
    }

    private func fault(_ code: String, _ detail: String, zh: String) -> Problem {
        .malformed(
            "The body cannot be read; see errors.", zh: "无法读取请求体，见 errors。",
            fields: [FieldError(JSONPath.text(path), code: code, detail, zh: zh)])
    }
}

// MARK: - Strings

extension JSONReader {
    private mutating func string() throws(Problem) -> String {
        position += 1
        var start = position
        var unescaped: [UInt8]?
        while true {
            guard position < bytes.count else { throw broken() }
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                let text: String?
                if var buffer = unescaped {
                    buffer.append(contentsOf: bytes[start..<position])
                    text = String(validating: buffer, as: UTF8.self)
                } else {
                    text = String(validating: bytes[start..<position], as: UTF8.self)
                }
                position += 1
                guard let text else {
                    throw fault("utf8", "This text is not valid UTF-8.", zh: "文本不是有效的 UTF-8。")
                }
                return text
            case UInt8(ascii: "\\"):
                var buffer = unescaped ?? []
                buffer.append(contentsOf: bytes[start..<position])
                position += 1
                try escape(into: &buffer)
                unescaped = buffer
                start = position
            case 0..<0x20: throw broken()
            default: position += 1
            }
        }
    }

    private mutating func escape(into buffer: inout [UInt8]) throws(Problem) {
        guard position < bytes.count else { throw broken() }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
        case UInt8(ascii: "b"): buffer.append(0x08)
        case UInt8(ascii: "f"): buffer.append(0x0C)
        case UInt8(ascii: "n"): buffer.append(0x0A)
        case UInt8(ascii: "r"): buffer.append(0x0D)
        case UInt8(ascii: "t"): buffer.append(0x09)
        case UInt8(ascii: "u"): buffer.append(contentsOf: Array(String(try scalar()).utf8))
        default: throw broken()
        }
    }

    /// `\uXXXX`, with the second half of a surrogate pair if the first one needs it.
    private mutating func scalar() throws(Problem) -> Unicode.Scalar {
        let first = try hexadecimal()
        var value = UInt32(first)
        if (0xD800...0xDBFF).contains(first) {
            guard take("\\"), take("u") else { throw halfPair() }
            let second = try hexadecimal()
            guard (0xDC00...0xDFFF).contains(second) else { throw halfPair() }
            value = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
        }
        if value == 0 {
            throw fault("zero_character", "The character U+0000 cannot be stored.", zh: "不能包含字符 U+0000。")
        }
        guard let scalar = Unicode.Scalar(value) else { throw halfPair() }
        return scalar
    }

    private mutating func hexadecimal() throws(Problem) -> UInt16 {
        guard position + 4 <= bytes.count else { throw broken() }
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue, bytes[position] < 0x80 else {
                throw broken()
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
    }

    private func halfPair() -> Problem {
        fault("surrogate", "This text has half of a surrogate pair.", zh: "文本包含不完整的代理对。")
    }
}
