internal import FoundationEssentials
internal import Postgres

/// Reads from the services' own rows what became of a drill's reports.
struct DrillMeasurements: Sendable {
    let database: ControlDatabase

    struct Outcome: Sendable {
        var inCase = 0
        var rejected = 0
        var dead = 0
        /// Nothing decided yet.
        var open = 0
        var cases = 0
        var emergencyCases = 0
        /// Reports that joined a case which was there.
        var joined = 0
        var notices = 0
        var acknowledged = 0
        var crews = 0
    }

    struct Case: Sendable {
        var emergency: Bool
        /// Seconds from the first report's acceptance; nil if it has not come to that.
        var toClaim: Double?
        var toNotice: Double?
    }

    /// How many of the reports nothing has been decided about.
    func undecided(_ reports: [UUID]) async throws -> Int {
        let rows = try await database.client.query(
            """
            SELECT count(*) AS open
            FROM unnest(\(reports)) AS r (id)
            WHERE NOT EXISTS (SELECT FROM dispatch.api_report_state s WHERE s.report_id = r.id)
            """)
        return try rows.first?.decode("open", as: Int.self) ?? 0
    }

    /// Emergency cases of these reports that wait for a crew or a first notice, which they must not.
    func waiting(_ reports: [UUID]) async throws -> Int {
        try await cases(reports).count { $0.emergency && ($0.toClaim == nil || $0.toNotice == nil) }
    }

    /// Orders of these reports' emergency cases that their crews have not finished.
    func unfinished(_ reports: [UUID]) async throws -> Int {
        let rows = try await database.client.query(
            """
            SELECT count(*) AS open
            FROM dispatch.api_order o
            JOIN dispatch.api_case c ON c.case_id = o.case_id
            WHERE c.emergency AND o.state IN ('assigned', 'accepted', 'en_route', 'on_site')
              AND EXISTS (
                  SELECT FROM dispatch.api_report_state s
                  WHERE s.case_id = c.case_id AND s.report_id = ANY (\(reports)))
            """)
        return try rows.first?.decode("open", as: Int.self) ?? 0
    }

    func outcome(_ reports: [UUID]) async throws -> Outcome {
        let rows = try await database.client.query(
            """
            WITH report AS (
                SELECT r.id, s.outcome, s.case_id
                FROM unnest(\(reports)) AS r (id)
                LEFT JOIN dispatch.api_report_state s ON s.report_id = r.id
            ), member AS (
                SELECT DISTINCT case_id FROM report WHERE outcome = 'case'
            ), work AS (
                SELECT o.crew_id FROM dispatch.api_order o JOIN member m USING (case_id)
            ), notice AS (
                SELECT n.notice_id, n.acknowledged_at FROM notification.api_notice n JOIN member m USING (case_id)
            )
            SELECT (SELECT count(*) FROM report WHERE outcome = 'case') AS in_case,
                   (SELECT count(*) FROM report WHERE outcome = 'rejected') AS rejected,
                   (SELECT count(*) FROM report WHERE outcome = 'dead') AS dead,
                   (SELECT count(*) FROM report WHERE outcome IS NULL) AS open,
                   (SELECT count(*) FROM member) AS cases,
                   (SELECT count(*) FROM member m JOIN dispatch.api_case c USING (case_id) WHERE c.emergency)
                       AS emergency_cases,
                   (SELECT count(DISTINCT crew_id) FROM work) AS crews,
                   (SELECT count(*) FROM notice) AS notices,
                   (SELECT count(*) FROM notice WHERE acknowledged_at IS NOT NULL) AS acknowledged
            """)
        guard let row = rows.first else { return Outcome() }
        var outcome = Outcome()
        outcome.inCase = try row.decode("in_case")
        outcome.rejected = try row.decode("rejected")
        outcome.dead = try row.decode("dead")
        outcome.open = try row.decode("open")
        outcome.cases = try row.decode("cases")
        outcome.emergencyCases = try row.decode("emergency_cases")
        outcome.crews = try row.decode("crews")
        outcome.notices = try row.decode("notices")
        outcome.acknowledged = try row.decode("acknowledged")
        outcome.joined = max(0, outcome.inCase - outcome.cases)
        return outcome
    }

    /// Each case that these reports opened, with its times: from the acceptance of the report that opened it (its first)
    /// to the claim of a crew and to the first notice. A case that was open before the drill is left out.
    func cases(_ reports: [UUID]) async throws -> [Case] {
        let rows = try await database.client.query(
            """
            WITH first_report AS (
                SELECT s.case_id, min(i.received_at) AS received_at,
                       min(i.received_at) FILTER (WHERE i.emergency) AS emergency_at
                FROM dispatch.api_report_state s
                JOIN intake.api_report i ON i.report_id = s.report_id
                WHERE s.report_id = ANY (\(reports)) AND s.outcome = 'case'
                GROUP BY s.case_id
            ), began AS (
                -- An emergency begins with the first report that is one; a dispatcher's raise with the case.
                SELECT c.case_id, c.emergency,
                       CASE WHEN c.emergency THEN coalesce(f.emergency_at, f.received_at) ELSE f.received_at END AS at
                FROM first_report f
                JOIN dispatch.api_case c ON c.case_id = f.case_id
                WHERE c.opened_at >= f.received_at
            )
            SELECT b.emergency,
                   extract(epoch FROM (
                       SELECT min(o.assigned_at) FROM dispatch.api_order o WHERE o.case_id = b.case_id
                   ) - b.at)::float8 AS to_claim,
                   extract(epoch FROM (
                       -- An emergency is told outside. A routine notice goes nowhere: the office has it once it lies in
                       -- its inbox.
                       SELECT min(CASE WHEN b.emergency THEN n.first_attempt_at
                                       ELSE coalesce(n.first_attempt_at, n.created_at) END)
                       FROM notification.api_notice n WHERE n.case_id = b.case_id
                   ) - b.at)::float8 AS to_notice
            FROM began b
            """)
        return try rows.map { row in
            Case(
                emergency: try row.decode("emergency"), toClaim: try row.decode("to_claim", as: Double?.self),
                toNotice: try row.decode("to_notice", as: Double?.self))
        }
    }
}
