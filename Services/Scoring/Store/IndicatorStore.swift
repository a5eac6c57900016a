import FoundationEssentials
import Model
import Postgres

/// The SQL of indicator 7.
enum IndicatorStore {
    /// Which cases: an area of a level (nil for the city) and a month of the city's calendar.
    struct Selection: Sendable, Hashable {
        var level: PlaceLevel?
        var id: UUID?
        /// `YYYY-MM`.
        var month: String
        var timeZone: String
        /// Nil is the whole city.
        var districts: [UUID]?
        /// Nil counts every kind; a standard version may narrow it.
        var kinds: [String]?
    }

    private static func matching(_ selection: Selection) -> SQL {
        let area: SQL =
            switch selection.level {
            case .street: "AND f.street_id = \(selection.id)::uuid"
            case .community: "AND f.community_id = \(selection.id)::uuid"
            case .grid: "AND f.grid_id = \(selection.id)::uuid"
            case .district: "AND f.district_id = \(selection.id)::uuid"
            case .special, nil: ""
            }
        return """
            f.opened_at >= (\(selection.month + "-01")::text::date)::timestamp AT TIME ZONE \(selection.timeZone)::text
            AND f.opened_at < (\(selection.month + "-01")::text::date + interval '1 month')::timestamp
                              AT TIME ZONE \(selection.timeZone)::text
            AND (\(selection.districts)::uuid[] IS NULL OR f.district_id = ANY (\(selection.districts)::uuid[]))
            AND (\(selection.kinds)::text[] IS NULL OR f.kind = ANY (\(selection.kinds)::text[]))
            \(area)
            """
    }

    /// Late now: settled as late, or its clock has run out since. A clock that stands still (a suspended case) has no
    /// `late_at`, which makes this NULL: it counts as not late, so the opposite is written `IS NOT TRUE`.
    private static let isLate: SQL = "(f.verdict = 'late' OR f.verdict = 'pending' AND f.late_at < clock_timestamp())"

    static func figure(_ selection: Selection) -> SQL {
        """
        SELECT count(*) FILTER (WHERE f.verdict = 'in_time')::int AS in_time,
               count(*) FILTER (WHERE \(isLate))::int AS late,
               count(*) FILTER (WHERE f.verdict = 'pending' AND \(isLate) IS NOT TRUE)::int AS pending,
               count(*) FILTER (WHERE f.verdict = 'excluded')::int AS excluded
        FROM scoring.case_fact f
        WHERE \(matching(selection))
        """
    }

    /// The figures of the areas inside: districts of the city, streets of a district, communities of a street.
    static func breakdown(_ selection: Selection, into children: PlaceLevel) -> SQL {
        let column: SQL =
            switch children {
            case .district: "f.district_id"
            case .street: "f.street_id"
            default: "f.community_id"
            }
        return """
            SELECT \(column) AS area_id, p.code, p.name_zh, p.name_en,
                   count(*) FILTER (WHERE f.verdict = 'in_time')::int AS in_time,
                   count(*) FILTER (WHERE \(isLate))::int AS late,
                   count(*) FILTER (WHERE f.verdict = 'pending' AND \(isLate) IS NOT TRUE)::int AS pending,
                   count(*) FILTER (WHERE f.verdict = 'excluded')::int AS excluded
            FROM scoring.case_fact f
            LEFT JOIN gis.api_place p ON p.place_id = \(column)
            WHERE \(matching(selection))
            GROUP BY 1, 2, 3, 4
            ORDER BY p.code NULLS LAST, 1
            """
    }

    /// The cases on which a figure rests, newest first, one more than the page holds.
    static func cases(
        _ selection: Selection, verdict: String?, before: (at: Timestamp, id: UUID)?, limit: Int
    ) -> SQL {
        let behind: SQL =
            before.map { "AND (f.opened_at, f.case_id) < (\($0.at)::timestamptz, \($0.id)::uuid)" } ?? ""
        return """
            SELECT q.* FROM (
                SELECT f.case_id, f.district_id, f.street_id, f.community_id, f.kind, f.category, f.emergency, f.state,
                       f.opened_at, f.respond_due, f.responded_at, f.resolve_due, f.resolved_at, f.closed_at,
                       CASE WHEN \(isLate) THEN 'late' ELSE f.verdict END AS verdict, f.verdict_code, f.late_at,
                       f.rule_version, f.event_id
                FROM scoring.case_fact f
                WHERE \(matching(selection)) \(behind)
            ) q
            WHERE (\(verdict)::text IS NULL OR q.verdict = \(verdict)::text)
            ORDER BY q.opened_at DESC, q.case_id DESC
            LIMIT \(limit + 1)::int
            """
    }

    /// The standard version that holds on the month's first day.
    static func standard(month: String) -> SQL {
        """
        SELECT name, indicator_7 FROM scoring.standard_version WHERE valid @> \(month + "-01")::text::date
        """
    }

    /// The ledger's rows of one aggregate, oldest first.
    static func evidence(_ aggregate: UUID, districts: [UUID]?, after: UUID?, limit: Int) -> SQL {
        """
        SELECT event_id, fact, source, aggregate_id, version, district_id, street_id, community_id, at, body::text AS body
        FROM scoring.evidence
        WHERE aggregate_id = \(aggregate)
          AND (\(districts)::uuid[] IS NULL OR district_id = ANY (\(districts)::uuid[]))
          AND (\(after)::uuid IS NULL OR event_id > \(after)::uuid)
        ORDER BY event_id
        LIMIT \(limit + 1)::int
        """
    }
}
