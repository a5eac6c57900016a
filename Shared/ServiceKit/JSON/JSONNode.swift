/// A JSON text as it was read, strictly: valid UTF-8, no duplicate names, bounded depth and size.
enum JSONNode {
    case null
    case bool(Bool)
    /// As written; which number type it must fit is known only when it is decoded.
    case number(String)
    case string(String)
    case array([JSONNode])
    case object(JSONObject)

    /// For messages: "a string", "a number" …
    var kind: JSONKind {
        switch self {
        case .null: .null
        case .bool: .bool
        case .number: .number
        case .string: .string
        case .array: .array
        case .object: .object
        }
    }
}

enum JSONKind {
    case null, bool, number, integer, string, array, object

    var english: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .number: "a number"
        case .integer: "a whole number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    var chinese: String {
        switch self {
        case .null: "null"
        case .bool: "布尔值"
        case .number: "数字"
        case .integer: "整数"
        case .string: "字符串"
        case .array: "数组"
        case .object: "对象"
        }
    }
}

/// The members of one object, and which of them somebody asked for: what nobody asked for is an unknown field.
final class JSONObject {
    let names: [String]
    let values: [JSONNode]
    private var wanted: [Bool]
    /// A decoder has read this object by name.
    private(set) var wasRead = false
    /// Any name is fine (a dictionary).
    private(set) var isOpen = false
    /// Only for objects with many members; a handful is faster to search than to hash.
    private let positions: [String: Int]?

    init(names: [String], values: [JSONNode], positions: [String: Int]?) {
        self.names = names
        self.values = values
        self.positions = positions
        self.wanted = [Bool](repeating: false, count: names.count)
    }

    func beginReading() { wasRead = true }
    func acceptAnyName() { isOpen = true }

    /// The member of that name, which counts as asked for from now on.
    func take(_ name: String) -> JSONNode? {
        guard let position = positions.map({ $0[name] }) ?? names.firstIndex(of: name) else { return nil }
        wanted[position] = true
        return values[position]
    }

    var unwanted: [String] {
        guard wasRead, !isOpen else { return [] }
        return zip(names, wanted).compactMap { $1 ? nil : $0 }
    }
}

/// Where in a body something is: `steps[2].place.lon`.
enum JSONPath {
    static func text(_ keys: [any CodingKey]) -> String {
        var text = ""
        for key in keys {
            if let index = key.intValue {
                text += "[\(index)]"
            } else {
                if !text.isEmpty { text += "." }
                text += key.stringValue
            }
        }
        return text
    }
}

/// A name or a position in a path.
struct JSONKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) {
        self.stringValue = stringValue
        self.intValue = nil
    }

    init(intValue: Int) {
        self.stringValue = String(intValue)
        self.intValue = intValue
    }
}
