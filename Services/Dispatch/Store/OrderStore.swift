import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// The statements on `dispatch.work_order` and `dispatch.crew_period`.
enum OrderStore {
    static let columns = OrderRecord.CodingKeys.allCases.map(\.rawValue).joined(separator: ", ").asSQL
    private static let newColumns = OrderRecord.CodingKeys.allCases.map { "n.\($0.rawValue)" }
        .joined(separator: ", ").asSQL
    private static let changing: [String] = OrderRecord.CodingKeys.allCases
        .filter { ![.orderID, .caseID, .districtID, .streetID, .crewID, .crewName, .canary].contains($0) }
        .map(\.rawValue)
    private static let changingColumns = changing.joined(separator: ", ").asSQL
    private static let changedColumns = changing.map { "n.\($0)" }.joined(separator: ", ").asSQL

    static func insert(_ records: [OrderRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            INSERT INTO dispatch.work_order (\(columns))
            SELECT \(newColumns)
            FROM json_populate_recordset(NULL::dispatch.work_order, \(try RecordText.text(of: records))::json) n
            """
        ]
    }

    /// As `CaseStore.update`: over the version before, or a conflict.
    static func update(_ records: [OrderRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            WITH changed AS (
                UPDATE dispatch.work_order o SET (\(changingColumns)) = ROW (\(changedColumns))
                FROM json_populate_recordset(NULL::dispatch.work_order, \(try RecordText.text(of: records))::json) n
                WHERE o.order_id = n.order_id AND o.district_id = n.district_id AND o.version = n.version - 1
                RETURNING 1
            )
            SELECT dispatch.expect_rows((SELECT count(*) FROM changed), \(records.count)::bigint)
            """
        ]
    }

    static func lock(_ ids: [WorkOrder.ID]) -> SQL {
        "SELECT \(columns) FROM dispatch.work_order WHERE order_id = ANY (\(ids)) ORDER BY order_id FOR UPDATE"
    }

    /// The job that binds the crew.
    static func lockActive(of crew: Crew.ID) -> SQL {
        """
        SELECT \(columns) FROM dispatch.work_order
        WHERE order_id = (SELECT active_order FROM dispatch.crew_slot WHERE crew_id = \(crew))
        FOR UPDATE
        """
    }

    static func lockOpen(of cases: [Case.ID]) -> SQL {
        """
        SELECT \(columns) FROM dispatch.work_order
        WHERE case_id = ANY (\(cases)) AND released_at IS NULL
        ORDER BY order_id
        FOR UPDATE
        """
    }

    static func openOrders(of cases: [Case.ID]) -> SQL {
        """
        SELECT \(columns) FROM dispatch.work_order
        WHERE case_id = ANY (\(cases)) AND released_at IS NULL
        ORDER BY order_id
        """
    }

    /// Open orders of the open cases that `CaseStore.neighbours` finds.
    static func openOrders(near places: [CaseStore.Neighbourhood]) -> SQL {
        """
        SELECT \(columns) FROM dispatch.work_order
        WHERE released_at IS NULL
          AND case_id IN (
              SELECT c.case_id
              FROM \(CaseStore.unnested(places))
              JOIN dispatch.case_file c
                  ON c.category_group = k.category_group AND c.cell = k.cell AND c.closed_at IS NULL
                 AND c.lon BETWEEN k.west AND k.east AND c.lat BETWEEN k.south AND k.north)
        ORDER BY order_id
        """
    }

    // MARK: - Active periods

    static let periodsAlone = "crew_period_alone"

    /// From `since` on, or until it was over, the order binds its crew alone. An order that was lowered, and is begun from
    /// the crew's list later, had a period before.
    static func openPeriod(_ order: OrderRecord, since: Timestamp, until: Timestamp? = nil) -> SQL {
        """
        INSERT INTO dispatch.crew_period (order_id, crew_id, district_id, period)
        VALUES (\(order.orderID), \(order.crewID), \(order.districtID),
                tstzrange(\(since), \(until.map { max(since, $0) }.postgresParameter)::timestamptz))
        ON CONFLICT (order_id) DO UPDATE SET period = excluded.period
        """
    }

    /// Never before its beginning: a period that was over at once is empty and excludes nobody.
    static func closePeriod(_ orderID: WorkOrder.ID, at: Timestamp) -> SQL {
        """
        UPDATE dispatch.crew_period
        SET period = tstzrange(lower(period), greatest(lower(period), \(at)::timestamptz))
        WHERE order_id = \(orderID) AND upper_inf(period) AND NOT isempty(period)
        """
    }

    /// When other orders bound the crew since the last step of this one; an open period has no end. No time from before
    /// that step counts, so no older period can be met.
    static func recentPeriods(of crew: Crew.ID, besides order: WorkOrder.ID) -> SQL {
        """
        SELECT lower(period) AS "from", upper(period) AS "to"
        FROM dispatch.crew_period
        WHERE crew_id = \(crew) AND order_id <> \(order) AND NOT isempty(period)
          AND period && tstzrange(
              (SELECT least(last_step_at, statement_timestamp()) FROM dispatch.work_order WHERE order_id = \(order)), NULL)
        """
    }

    // MARK: - Silence

    /// Orders that nobody has answered, oldest first.
    static func unanswered(emergency: Bool, before: Timestamp, limit: Int) -> SQL {
        """
        SELECT order_id, case_id, crew_id FROM dispatch.work_order
        WHERE emergency = \(emergency) AND state = 'assigned' AND assigned_at < \(before)
        ORDER BY assigned_at
        LIMIT \(limit)
        """
    }

    /// Unstarted routine orders of a crew.
    static func listed(of crew: Crew.ID, limit: Int) -> SQL {
        """
        SELECT \(columns) FROM dispatch.work_order
        WHERE crew_id = \(crew) AND released_at IS NULL AND NOT emergency
          AND state IN ('planned', 'assigned', 'accepted')
        ORDER BY assigned_at
        LIMIT \(limit)
        """
    }
}
