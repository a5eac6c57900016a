import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// The statements on `dispatch.case_file`.
enum CaseStore {
    /// Every column that `CaseRecord` knows, in its order.
    static let columns = CaseRecord.CodingKeys.allCases.map(\.rawValue).joined(separator: ", ").asSQL
    private static let newColumns = CaseRecord.CodingKeys.allCases.map { "n.\($0.rawValue)" }
        .joined(separator: ", ").asSQL
    static let selected: SQL = "\(columns), number"

    /// What never changes once the case is open.
    private static let fixed: Set<CaseRecord.CodingKeys> = [
        .caseID, .districtID, .streetID, .gridID, .facilityID, .lon, .lat, .cell, .canary,
    ]
    private static let changing = CaseRecord.CodingKeys.allCases.filter { !fixed.contains($0) }.map(\.rawValue)
    private static let changingColumns = changing.joined(separator: ", ").asSQL
    private static let changedColumns = changing.map { "n.\($0)" }.joined(separator: ", ").asSQL

    static let openStates: SQL =
        "('received', 'filed', 'dispatched', 'handling', 'verification', 'reopened', 'suspended')"

    static func insert(_ records: [CaseRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            INSERT INTO dispatch.case_file (\(columns), number)
            SELECT \(newColumns),
                   nextval(CASE WHEN n.canary THEN 'dispatch.canary_number' ELSE 'dispatch.case_number' END::regclass)
            FROM json_populate_recordset(NULL::dispatch.case_file, \(try RecordText.text(of: records))::json) n
            """
        ]
    }

    /// Writes each record over the version before it. If one of them has moved on since it was read, the whole
    /// transaction ends as a conflict.
    static func update(_ records: [CaseRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            WITH changed AS (
                UPDATE dispatch.case_file c
                SET (\(changingColumns), changed_at) = ROW (\(changedColumns), clock_timestamp())
                FROM json_populate_recordset(NULL::dispatch.case_file, \(try RecordText.text(of: records))::json) n
                WHERE c.case_id = n.case_id AND c.district_id = n.district_id AND c.version = n.version - 1
                RETURNING 1
            )
            SELECT dispatch.expect_rows((SELECT count(*) FROM changed), \(records.count)::bigint)
            """
        ]
    }

    static func read(_ ids: [Case.ID]) -> SQL {
        "SELECT \(selected) FROM dispatch.case_file WHERE case_id = ANY (\(ids)) ORDER BY case_id"
    }

    static func lock(_ ids: [Case.ID]) -> SQL {
        "SELECT \(selected) FROM dispatch.case_file WHERE case_id = ANY (\(ids)) ORDER BY case_id FOR UPDATE"
    }

    /// The case of a crew's order.
    static func lockCase(of order: WorkOrder.ID, crew: Crew.ID) -> SQL {
        """
        SELECT \(selected) FROM dispatch.case_file
        WHERE case_id = (
            SELECT case_id FROM dispatch.work_order WHERE order_id = \(order) AND crew_id = \(crew))
        FOR UPDATE
        """
    }

    /// The case of the job that binds the crew.
    static func lockActive(of crew: Crew.ID) -> SQL {
        """
        SELECT \(selected) FROM dispatch.case_file
        WHERE case_id = (
            SELECT o.case_id FROM dispatch.crew_slot s
            JOIN dispatch.work_order o ON o.order_id = s.active_order
            WHERE s.crew_id = \(crew))
        FOR UPDATE
        """
    }

    /// The case, and that of the job which the crew would have to give up.
    static func lockWithDisplaced(_ caseID: Case.ID, crew: Crew.ID) -> SQL {
        """
        SELECT \(selected) FROM dispatch.case_file
        WHERE case_id = \(caseID)
           OR case_id = (
               SELECT o.case_id FROM dispatch.crew_slot s
               JOIN dispatch.work_order o ON o.order_id = s.active_order
               WHERE s.crew_id = \(crew))
        ORDER BY case_id
        FOR UPDATE
        """
    }

    /// A cell, and the part of it that reports of now are near to.
    typealias Neighbourhood = (group: String, cell: Cell, box: PlaceBox)

    static func unnested(_ places: [Neighbourhood]) -> SQL {
        """
        unnest(
            \(places.map(\.group))::text[], \(places.map(\.cell.number)), \(places.map(\.box.west)),
            \(places.map(\.box.south)), \(places.map(\.box.east)), \(places.map(\.box.north))
        ) AS k (category_group, cell, west, south, east, north)
        """
    }

    /// The cases that a report might belong to, by cell and the part of it that reports of now are near to: the open
    /// ones heard of last, and those closed a short time ago. This only narrows the search; the rule measures.
    static func neighbours(_ places: [Neighbourhood]) -> SQL {
        """
        SELECT \(neighbourColumns), c.number
        FROM \(unnested(places))
        CROSS JOIN LATERAL (
            (SELECT * FROM dispatch.case_file o
             WHERE o.category_group = k.category_group AND o.cell = k.cell AND o.closed_at IS NULL
               AND o.lon BETWEEN k.west AND k.east AND o.lat BETWEEN k.south AND k.north
             ORDER BY o.last_report_at DESC
             LIMIT 40)
            UNION ALL
            (SELECT * FROM dispatch.case_file o
             WHERE o.category_group = k.category_group AND o.cell = k.cell AND o.state = 'closed'
               AND o.closed_at IS NOT NULL AND o.merged_into IS NULL
               AND o.lon BETWEEN k.west AND k.east AND o.lat BETWEEN k.south AND k.north
             ORDER BY o.closed_at DESC
             LIMIT 5)
        ) c
        """
    }
    private static let neighbourColumns = CaseRecord.CodingKeys.allCases.map { "c.\($0.rawValue)" }
        .joined(separator: ", ").asSQL

    /// Open cases of a district whose clocks were set by another storm level, after `last`.
    static func withOtherLevel(_ level: StormLevel, district: District.ID, after last: Case.ID?, limit: Int) -> SQL {
        """
        SELECT \(selected) FROM dispatch.case_file
        WHERE district_id = \(district) AND state IN \(openStates) AND clock_level <> \(level.rawValue)
          AND case_id > coalesce(\(last.postgresParameter), '00000000-0000-0000-0000-000000000000'::uuid)
        ORDER BY case_id
        LIMIT \(limit)
        FOR UPDATE
        """
    }
}
