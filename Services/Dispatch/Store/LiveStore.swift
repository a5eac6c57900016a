import FoundationEssentials
import Model
import Outbox
import Postgres

/// A row of `dispatch.live_event`. Without a body it shows the history row that has its id.
struct LiveRecord: Encodable, Sendable {
    var id: EventRecord.ID
    var districtID: District.ID
    var responsibleDistrictID: District.ID
    var at: Timestamp
    var kind: String
    var body: JSONValue?

    enum CodingKeys: String, CodingKey {
        case id
        case districtID = "district_id"
        case responsibleDistrictID = "responsible_district_id"
        case at, kind, body
    }
}

enum LiveStore {
    /// The channel on which instances tell each other that rows have been numbered.
    static let channel = "dispatch_live"

    static func insert(_ records: [LiveRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            INSERT INTO dispatch.live_event (id, district_id, responsible_district_id, at, kind, body)
            SELECT id, district_id, responsible_district_id, at, kind, body
            FROM json_populate_recordset(NULL::dispatch.live_event, \(try RecordText.text(of: records))::json)
            """
        ]
    }

    // MARK: - Numbering

    /// One instance numbers at a time. The numbering has to be a later statement: within one, its snapshot would be
    /// older than the lock, and rows that another has just numbered would be numbered twice.
    static let tryToNumber: SQL = "SELECT pg_try_advisory_xact_lock(hashtextextended('dispatch.live_event', 0))"

    static func number(limit: Int) -> SQL {
        """
        UPDATE dispatch.live_event e
        SET seq = n.seq
        FROM (
            SELECT u.id, nextval('dispatch.live_event_number') AS seq
            FROM (SELECT id FROM dispatch.live_event WHERE seq IS NULL ORDER BY id LIMIT \(limit)) u
        ) n
        WHERE e.id = n.id
        """
    }

    static let notify: [SQL] = [
        "SELECT set_config('synchronous_commit', 'off', true)", "SELECT pg_notify('dispatch_live', '')",
    ]

    // MARK: - Reading

    static func after(_ seq: Int64, limit: Int) -> SQL {
        """
        SELECT e.seq, e.district_id, e.responsible_district_id, e.at, e.kind,
               coalesce(e.body, h.body)::text AS body, h.type, h.version
        FROM (
            SELECT * FROM dispatch.live_event WHERE seq > \(seq) ORDER BY seq LIMIT \(limit)
        ) e
        -- Row by row, whatever the planner thinks of how many there are: history is the largest table of all.
        LEFT JOIN LATERAL (SELECT body, type, version FROM dispatch.history WHERE id = e.id LIMIT 1) h ON true
        ORDER BY e.seq
        """
    }

    /// The last number, or null.
    static let last: SQL = "SELECT max(seq) FROM dispatch.live_event WHERE seq IS NOT NULL"

    /// The first and last number that can still be served; null if there are none.
    static let bounds: SQL = "SELECT min(seq) AS first, max(seq) AS last FROM dispatch.live_event WHERE seq IS NOT NULL"

    static func purge(before: Timestamp, limit: Int) -> SQL {
        """
        DELETE FROM dispatch.live_event
        WHERE id IN (
            SELECT id FROM dispatch.live_event
            WHERE seq IS NOT NULL AND id < sluice.uuid_v7_floor(\(before))
            ORDER BY id
            LIMIT \(limit))
        """
    }
}
