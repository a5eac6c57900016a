public import Hummingbird

/// One page of a list: `{"items": […], "next": "cursor" | null}`.
public struct Page<Item: Encodable & Sendable>: ResponseEncodable, Sendable {
    public var items: [Item]
    /// Where the next page begins; nil on the last one.
    public var next: Cursor?

    public init(items: [Item], next: Cursor?) {
        self.items = items
        self.next = next
    }

    /// From one row more than the page holds: if it came, there is a next page, which begins after the last row shown.
    public init(_ rows: [Item], limit: Int, cursor: (Item) -> Cursor) {
        let items = Array(rows.prefix(limit))
        self.init(items: items, next: rows.count > limit ? items.last.map(cursor) : nil)
    }

    private enum CodingKeys: String, CodingKey { case items, next }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(items, forKey: .items)
        try container.encode(next?.text, forKey: .next)
    }
}

/// What a request asks of a list: `?limit=` (1–200, 50 if not given) and `?cursor=`.
public struct PageRequest: Sendable {
    public static let limits = 1...200
    public static let defaultLimit = 50

    public let limit: Int
    public let cursor: Cursor?

    /// How many rows to ask the database for: one more than will be shown.
    public var rowsToRead: Int { limit + 1 }
}

extension Request {
    /// Reads `limit` and `cursor`. Throws a `Problem` (422) that names the parameter at fault.
    public func page(_ list: String, _ kinds: Cursor.Kind...) throws(Problem) -> PageRequest {
        let query = try query()
        let limit = try query.integer("limit", PageRequest.limits) ?? PageRequest.defaultLimit
        guard let text = try query.text("cursor", 0...2_000) else { return PageRequest(limit: limit, cursor: nil) }
        return PageRequest(limit: limit, cursor: try Cursor(text, list: list, kinds))
    }
}
