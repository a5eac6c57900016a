import FoundationEssentials
import Model
import Outbox
import Postgres

/// The SQL of showing notices.
enum NoticeViews {
    struct Filter: Sendable {
        var districts: [UUID]?
        /// Of an office's people: their offices only.
        var offices: [UUID]?
        var state: NoticeState?
        var emergency: Bool?
        var caseID: Case.ID?
    }

    private static let columns: SQL = """
        n.notice_id, n.case_id, n.district_id, n.street_id, n.office_id, n.office_name, n.office_name_en,
        n.recipient_name, n.purpose, n.round, n.state, n.emergency, n.version, n.channel_kinds, n.created_at,
        n.first_attempt_at, n.delivered_at, n.acknowledged_at, n.acknowledged_by,
        n.acknowledged_name, n.escalate_at, n.reason
        """

    static func list(_ filter: Filter, before: UUID?, limit: Int) -> SQL {
        """
        SELECT \(columns)
        FROM notification.api_notice n
        WHERE n.notice_id <> sluice.city()
          AND (\(filter.districts)::uuid[] IS NULL OR n.district_id = ANY (\(filter.districts)::uuid[]))
          AND (\(filter.offices)::uuid[] IS NULL OR n.office_id = ANY (\(filter.offices)::uuid[]))
          AND (\(filter.state)::text IS NULL OR n.state = \(filter.state)::text)
          AND (\(filter.emergency)::boolean IS NULL OR n.emergency = \(filter.emergency)::boolean)
          AND (\(filter.caseID)::uuid IS NULL OR n.case_id = \(filter.caseID)::uuid)
          AND (\(before)::uuid IS NULL OR n.notice_id < \(before)::uuid)
        ORDER BY n.notice_id DESC
        LIMIT \(limit + 1)::int
        """
    }

    /// A notice, its case as dispatch shows it, the case's public steps, its orders, the comments, the deliveries.
    static func one(_ id: Notice.ID, districts: [UUID]?, offices: [UUID]?) -> [SQL] {
        [
            """
            SELECT \(columns)
            FROM notification.api_notice n
            WHERE n.notice_id = \(id)
              AND (\(districts)::uuid[] IS NULL OR n.district_id = ANY (\(districts)::uuid[]))
              AND (\(offices)::uuid[] IS NULL OR n.office_id = ANY (\(offices)::uuid[]))
            """,
            """
            SELECT k.case_id, k.number, k.category, k.severity, k.emergency, k.state, k.lon, k.lat, k.opened_at,
                   k.respond_due, k.resolve_due, k.report_count, p.name_zh AS community_zh, p.name_en AS community_en,
                   (SELECT c.name_zh FROM dispatch.api_category c WHERE c.code = k.category LIMIT 1) AS category_zh,
                   (SELECT c.name_en FROM dispatch.api_category c WHERE c.code = k.category LIMIT 1) AS category_en
            FROM notification.notice n
            JOIN dispatch.api_case k ON k.case_id = n.case_id
            LEFT JOIN gis.api_place p ON p.place_id = k.community_id
            WHERE n.notice_id = \(id)
            """,
            """
            SELECT t.at, t.fact
            FROM dispatch.api_case_timeline t
            -- As one value: a join with a view of several tables would read them all.
            WHERE t.case_id = (SELECT n.case_id FROM notification.notice n WHERE n.notice_id = \(id))
            ORDER BY t.at
            LIMIT 100
            """,
            """
            SELECT o.crew_name, o.state, o.assigned_at, o.en_route_at, o.on_site_at, o.done_at
            FROM notification.notice n JOIN dispatch.api_order o ON o.case_id = n.case_id
            WHERE n.notice_id = \(id)
            ORDER BY o.assigned_at
            LIMIT 20
            """,
            """
            SELECT c.comment_id, c.author_name, c.body, c.at
            FROM notification.notice n JOIN notification.comment c ON c.case_id = n.case_id
            WHERE n.notice_id = \(id)
            ORDER BY c.comment_id
            LIMIT 200
            """,
            """
            SELECT d.delivery_id, d.kind, d.state, d.attempt, d.created_at, d.delivered_at,
                   (SELECT a.outcome || ': ' || a.detail FROM notification.delivery_attempt a
                    WHERE a.delivery_id = d.delivery_id ORDER BY a.attempt DESC LIMIT 1) AS last_outcome
            FROM notification.delivery d
            WHERE d.notice_id = \(id)
            ORDER BY d.delivery_id
            """,
        ]
    }
}

/// Rows as JSON: each column under its name, times as RFC 3339.
enum RowJSON {
    enum Kind: Sendable {
        case text, integer, number, bool, time, id, texts
    }

    static func object(_ row: Row, _ columns: [(String, Kind)]) throws -> [String: JSONValue] {
        var object: [String: JSONValue] = [:]
        for (name, kind) in columns {
            object[name] =
                switch kind {
                case .text: try row.decode(name, as: String?.self).map(JSONValue.string) ?? .null
                case .integer: try row.decode(name, as: Int?.self).map { .integer(Int64($0)) } ?? .null
                case .number: try row.decode(name, as: Double?.self).map(JSONValue.number) ?? .null
                case .bool: try row.decode(name, as: Bool?.self).map(JSONValue.bool) ?? .null
                case .time: try row.decode(name, as: Timestamp?.self).map { .string($0.description) } ?? .null
                case .id:
                    try row.decode(name, as: UUID?.self).map { .string(Identifier<Message>($0).description) } ?? .null
                case .texts: .array(try (row.decode(name, as: [String]?.self) ?? []).map(JSONValue.string))
                }
        }
        return object
    }

    static let notice: [(String, Kind)] = [
        ("notice_id", .id), ("case_id", .id), ("district_id", .id), ("street_id", .id), ("office_id", .id),
        ("office_name", .text), ("office_name_en", .text), ("recipient_name", .text), ("purpose", .text),
        ("round", .integer), ("state", .text), ("emergency", .bool), ("version", .integer), ("channel_kinds", .texts),
        ("created_at", .time), ("first_attempt_at", .time), ("delivered_at", .time), ("acknowledged_at", .time),
        ("acknowledged_by", .text), ("acknowledged_name", .text), ("escalate_at", .time), ("reason", .text),
    ]
    static let facts: [(String, Kind)] = [
        ("case_id", .id), ("number", .text), ("category", .text), ("category_zh", .text), ("category_en", .text),
        ("severity", .integer), ("emergency", .bool), ("state", .text), ("lon", .number), ("lat", .number),
        ("opened_at", .time), ("respond_due", .time), ("resolve_due", .time), ("report_count", .integer),
        ("community_zh", .text), ("community_en", .text),
    ]
    static let step: [(String, Kind)] = [("at", .time), ("fact", .text)]
    static let order: [(String, Kind)] = [
        ("crew_name", .text), ("state", .text), ("assigned_at", .time), ("en_route_at", .time), ("on_site_at", .time),
        ("done_at", .time),
    ]
    static let comment: [(String, Kind)] = [
        ("comment_id", .id), ("author_name", .text), ("body", .text), ("at", .time),
    ]
    static let delivery: [(String, Kind)] = [
        ("delivery_id", .id), ("kind", .text), ("state", .text), ("attempt", .integer), ("created_at", .time),
        ("delivered_at", .time), ("last_outcome", .text),
    ]

    /// The whole of a notice from the answers to `NoticeViews.one`; nil if there is none in scope.
    static func detail(_ answers: [Rows], deliveries: Bool) throws -> JSONValue? {
        guard let notice = answers[0].first else { return nil }
        var object = try self.object(notice, self.notice)
        object["case"] = try answers[1].first.map { .object(try self.object($0, facts)) } ?? .null
        object["timeline"] = .array(try answers[2].map { .object(try self.object($0, step)) })
        object["orders"] = .array(try answers[3].map { .object(try self.object($0, order)) })
        object["comments"] = .array(try answers[4].map { .object(try self.object($0, comment)) })
        if deliveries { object["deliveries"] = .array(try answers[5].map { .object(try self.object($0, delivery)) }) }
        return .object(object)
    }
}
