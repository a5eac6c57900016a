public import FoundationEssentials
public import Model

/// Where the next page of a list begins: the sort values of the last row, in an opaque text. It names its list, so that a
/// cursor of another list is refused, and each value has a type. It grants nothing: the query that uses it has its own
/// scope.
public struct Cursor: Sendable, Hashable {
    public enum Value: Sendable, Hashable {
        case text(String)
        case integer(Int)
        case time(Timestamp)
        case id(UUID)

        public static func id<Owner>(_ id: Identifier<Owner>) -> Value { .id(id.rawValue) }
    }

    public enum Kind: Sendable { case text, integer, time, id }

    public let list: String
    public let values: [Value]

    public init(_ list: String, _ values: Value...) {
        self.list = list
        self.values = values
    }

    /// Reads what `text` wrote. Throws a `Problem` (422) that names `cursor` for anything else.
    public init(_ text: String, list: String, _ kinds: [Kind]) throws(Problem) {
        guard text.utf8.count <= 2_000, let bytes = Base64URL.decode(text),
            let decoded = String(validating: bytes, as: UTF8.self)
        else { throw Self.bad }
        let parts = decoded.split(separator: "\u{1F}", omittingEmptySubsequences: false)
        guard parts.count == kinds.count + 1, parts[0] == list else { throw Self.bad }
        var values: [Value] = []
        for (part, kind) in zip(parts.dropFirst(), kinds) {
            guard let value = Self.value(part, kind) else { throw Self.bad }
            values.append(value)
        }
        self.list = list
        self.values = values
    }

    /// The opaque text for `next`.
    public var text: String {
        let parts =
            [list]
            + values.map { value in
                switch value {
                // The separator cannot be in a text without breaking the cursor; rows that have it lose the character.
                case .text(let text): "s" + text.filter { $0 != "\u{1F}" && $0 != "\0" }
                case .integer(let number): "n\(number)"
                case .time(let time): "t\(time.microseconds)"
                case .id(let id): "u\(id.uuidString)"
                }
            }
        return Base64URL.encode(Array(parts.joined(separator: "\u{1F}").utf8))
    }

    private static func value(_ part: Substring, _ kind: Kind) -> Value? {
        guard let tag = part.first else { return nil }
        let text = String(part.dropFirst())
        switch (tag, kind) {
        case ("s", .text): return text.contains("\0") ? nil : .text(text)
        case ("n", .integer): return Int(text).map(Value.integer)
        case ("t", .time):
            return Int64(text).map(Timestamp.init(microseconds:)).flatMap {
                Timestamp.writable.contains($0) ? .time($0) : nil
            }
        case ("u", .id): return UUID(uuidString: text).map(Value.id)
        default: return nil
        }
    }

    private static let bad = Problem.invalid(
        "cursor", code: "cursor", "This is not a cursor of this list. Begin again without it.", zh: "游标无效，请从第一页重新开始。")

    // MARK: Typed access, in the order in which the kinds were given

    public func text(_ index: Int) -> String {
        if case .text(let value) = values[index] { value } else { "" }
    }

    public func integer(_ index: Int) -> Int {
        if case .integer(let value) = values[index] { value } else { 0 }
    }

    public func time(_ index: Int) -> Timestamp {
        if case .time(let value) = values[index] { value } else { Timestamp(microseconds: 0) }
    }

    public func id(_ index: Int) -> UUID {
        if case .id(let value) = values[index] { value } else { District.city.rawValue }
    }
}
