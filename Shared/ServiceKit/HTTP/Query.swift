public import Hummingbird
public import Model

/// The query parameters of a request, decoded strictly: broken percent escapes, broken UTF-8 and U+0000 are errors, and so
/// is a parameter that is given twice where one value is wanted.
public struct Query: Sendable {
    private let values: [String: [String]]

    init(_ text: String?) throws(Problem) {
        var values: [String: [String]] = [:]
        for pair in (text ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0], plusIsBlank: true),
                let value = PercentEncoding.decode(parts.count > 1 ? parts[1] : "", plusIsBlank: true)
            else {
                throw .malformed(
                    "The query has a broken escape, or text that is not UTF-8.", zh: "查询参数包含无效的转义或非 UTF-8 文本。")
            }
            values[name, default: []].append(value)
        }
        self.values = values
    }

    /// The fields of a form, read in the same spirit.
    public init(fields: [(name: String, value: String)]) {
        self.values = Dictionary(fields.map { ($0.name, [$0.value]) }, uniquingKeysWith: +)
    }

    private func one(_ name: String) throws(Problem) -> String? {
        guard let all = values[name], let first = all.first else { return nil }
        if all.count > 1 {
            throw .invalid(name, code: "duplicate", "This parameter is given twice.", zh: "参数重复。")
        }
        return first
    }

    /// Every value of a parameter that may be repeated.
    public func all(_ name: String) -> [String] { values[name] ?? [] }

    /// A text of so many characters; nil if the parameter is not there.
    public func text(_ name: String, _ length: ClosedRange<Int> = 1...200) throws(Problem) -> String? {
        guard let value = try one(name) else { return nil }
        var check = Validation()
        check.text(name, value, length)
        try check.finish()
        return value
    }

    public func integer(_ name: String, _ range: ClosedRange<Int> = 0...Int(Int32.max)) throws(Problem) -> Int? {
        guard let value = try one(name) else { return nil }
        guard let number = Int(value), range.contains(number) else {
            throw .invalid(
                name, code: "range", "A whole number from \(range.lowerBound) to \(range.upperBound) is wanted.",
                zh: "应为 \(range.lowerBound) 到 \(range.upperBound) 的整数。")
        }
        return number
    }

    public func number(_ name: String, _ range: ClosedRange<Double>) throws(Problem) -> Double? {
        guard let value = try one(name) else { return nil }
        guard let number = Double(value), range.contains(number) else {
            throw .invalid(
                name, code: "range", "A number from \(range.lowerBound) to \(range.upperBound) is wanted.",
                zh: "应为 \(range.lowerBound) 到 \(range.upperBound) 的数值。")
        }
        return number
    }

    public func bool(_ name: String) throws(Problem) -> Bool? {
        switch try one(name) {
        case nil: nil
        case "true": true
        case "false": false
        default:
            throw .invalid(
                name, code: "not_allowed", "true or false is wanted.", zh: "应为 true 或 false。",
                allowed: ["true", "false"])
        }
    }

    public func time(_ name: String) throws(Problem) -> Timestamp? {
        guard let value = try one(name) else { return nil }
        guard let time = Timestamp(value) else {
            throw .invalid(
                name, code: "time", "An RFC 3339 time is wanted, such as 2026-07-01T08:30:00Z.",
                zh: "应为 RFC 3339 时间，例如 2026-07-01T08:30:00Z。")
        }
        return time
    }

    public func id<Owner>(_ name: String, _ type: Owner.Type = Owner.self) throws(Problem) -> Identifier<Owner>? {
        guard let value = try one(name) else { return nil }
        guard let id = Identifier<Owner>(value) else { throw .notAnID(name) }
        return id
    }

    /// One of an enum's words.
    public func word<Word: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Word.Type = Word.self
    ) throws(Problem) -> Word? where Word.RawValue == String {
        guard let value = try one(name) else { return nil }
        return try Self.word(name, value)
    }

    /// Several words: repeated, or with commas between them.
    public func words<Word: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Word.Type = Word.self
    ) throws(Problem) -> [Word] where Word.RawValue == String {
        var words: [Word] = []
        for value in all(name) {
            for part in value.split(separator: ",") { words.append(try Self.word(name, String(part))) }
        }
        return words
    }

    private static func word<Word: RawRepresentable & CaseIterable>(
        _ name: String, _ value: String
    ) throws(Problem) -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: value) else {
            let allowed = Word.allCases.map(\.rawValue)
            throw .invalid(
                name, code: "not_allowed", "One of these is wanted: \(allowed.joined(separator: ", ")).",
                zh: "应为以下之一：\(allowed.joined(separator: "、"))。", allowed: allowed)
        }
        return word
    }
}

extension Request {
    /// The query parameters. Throws a `Problem` (400) if they cannot be read.
    public func query() throws(Problem) -> Query { try Query(uri.query) }
}

extension RequestContext {
    /// An id in the path. What is no id names nothing that exists: 404.
    public func pathID<Owner>(_ name: String, _ type: Owner.Type = Owner.self) throws(Problem) -> Identifier<Owner> {
        guard let text = parameters.get(name), let id = Identifier<Owner>(text) else { throw .notFound }
        return id
    }

    /// A text in the path, percent escapes resolved. Throws a `Problem` (404) if it is broken or longer than `limit`.
    public func pathText(_ name: String, limit: Int = 200) throws(Problem) -> String {
        guard let raw = parameters.get(name), let text = PercentEncoding.decode(raw, plusIsBlank: false),
            text.unicodeScalars.count <= limit
        else { throw .notFound }
        return text
    }
}

extension Problem {
    static func notAnID(_ field: String) -> Problem {
        .invalid(field, code: "uuid", "A UUID is wanted.", zh: "应为 UUID。")
    }
}

enum PercentEncoding {
    /// Nil for a broken escape, for what is then not UTF-8, and for U+0000.
    static func decode(_ text: some StringProtocol, plusIsBlank: Bool) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "+") where plusIsBlank: bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = rest.next().flatMap(hexadecimal), let low = rest.next().flatMap(hexadecimal) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
