import FoundationEssentials
import Model
import Outbox
import Postgres

/// The SQL of reading the other services' histories.
enum HistoryStore {
    /// Whose facts the ledger keeps.
    static let sources: [ServiceName] = [.intake, .dispatch, .gisSync, .notification]

    /// The horizon below which no row can appear any more, and how far the source has been read.
    static func horizon(_ source: ServiceName) -> SQL {
        """
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
               coalesce((SELECT tx FROM scoring.history_mark WHERE source = \(source)), '0'::xid8)::text AS mark
        """
    }

    /// Rows in [mark, horizon) behind (tx, id), in that order. Those of canaries are left out.
    static func rows(
        _ source: ServiceName, from mark: String, to horizon: String, after: (tx: String, id: UUID)?, limit: Int
    ) -> SQL {
        let behind: SQL = after.map { "AND (h.tx, h.id) > (\($0.tx)::text::xid8, \($0.id)::uuid)" } ?? ""
        return """
            SELECT h.id, h.type, h.aggregate_id, h.version, h.district_id, h.lane, h.occurred_at, h.tx::text AS tx,
                   h.body::text AS body
            FROM \(identifier: source.schema).api_history h
            WHERE h.tx >= \(mark)::text::xid8 AND h.tx < \(horizon)::text::xid8 AND NOT h.canary \(behind)
            ORDER BY h.tx, h.id
            LIMIT \(limit)::int
            """
    }

    static func mark(_ source: ServiceName, _ horizon: String) -> SQL {
        """
        INSERT INTO scoring.history_mark AS m (source, tx) VALUES (\(source), \(horizon)::text::xid8)
        ON CONFLICT (source) DO UPDATE SET tx = excluded.tx, at = clock_timestamp() WHERE m.tx < excluded.tx
        """
    }

    static let emptyRebuilt: [SQL] = ["TRUNCATE scoring.rebuilt_evidence, scoring.rebuilt_case_fact"]

    /// Reads a history row as the event that it was announced as.
    static func event(_ row: Row, source: ServiceName) throws -> Event? {
        // A type that a newer release writes is none of ours yet.
        guard let type = EventType(rawValue: try row.decode("type", as: String.self)) else { return nil }
        return Event(
            id: try row.decode("id"), source: source, type: type, time: try row.decode("occurred_at"),
            district: try row.decode("district_id"), aggregateID: try row.decode("aggregate_id"),
            aggregateVersion: try row.decode("version"), lane: try row.decode("lane"),
            data: Array(try row.decode("body", as: String.self).utf8))
    }

    /// What the live ledger and the rebuilt one do not share, up to `limit` rows. Only events at or below the horizons of
    /// the rebuild are compared: `until` names, by source, the transaction up to which the histories were read.
    static func differences(limit: Int) -> SQL {
        """
        (SELECT 'evidence' AS what, 'only live' AS where_found, l.event_id AS id, l.fact AS detail
         FROM scoring.evidence l
         WHERE l.event_id <> sluice.city()
           AND NOT EXISTS (SELECT FROM scoring.rebuilt_evidence r
                           WHERE (r.event_id, r.fact) = (l.event_id, l.fact)
                             AND (r.source, r.aggregate_id, r.version, r.district_id, r.street_id, r.community_id,
                                  r.at, r.body)
                                 IS NOT DISTINCT FROM
                                 (l.source, l.aggregate_id, l.version, l.district_id, l.street_id, l.community_id,
                                  l.at, l.body))
         LIMIT \(limit)::int)
        UNION ALL
        (SELECT 'evidence', 'only rebuilt', r.event_id, r.fact
         FROM scoring.rebuilt_evidence r
         WHERE NOT EXISTS (SELECT FROM scoring.evidence l WHERE (l.event_id, l.fact) = (r.event_id, r.fact))
         LIMIT \(limit)::int)
        UNION ALL
        (SELECT 'case', CASE WHEN r.case_id IS NULL THEN 'only live' WHEN l.case_id IS NULL THEN 'only rebuilt'
                             ELSE 'differs' END,
                coalesce(l.case_id, r.case_id), coalesce(l.verdict, '-') || ' / ' || coalesce(r.verdict, '-')
         FROM scoring.case_fact l
         FULL JOIN scoring.rebuilt_case_fact r USING (case_id)
         WHERE l IS DISTINCT FROM r
         LIMIT \(limit)::int)
        """
    }

    static let counts: SQL = """
        SELECT (SELECT count(*) FROM scoring.evidence WHERE event_id <> sluice.city())::int AS live,
               (SELECT count(*) FROM scoring.rebuilt_evidence)::int AS rebuilt,
               (SELECT count(*) FROM scoring.case_fact)::int AS live_cases,
               (SELECT count(*) FROM scoring.rebuilt_case_fact)::int AS rebuilt_cases
        """
}
