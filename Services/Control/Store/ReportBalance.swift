internal import Model
internal import Outbox
internal import Postgres

/// Where the accepted reports of a span are. Readings and alerts ask for no case and are not counted.
struct ReportBalance: Encodable, Sendable {
    var accepted = 0
    var inCase = 0
    var rejected = 0
    var dead = 0
    /// In intake's outbox, or parked by dispatch.
    var onTheWay = 0
    /// Nothing decided yet, and younger than the grace: between broker and dispatch.
    var young = 0
    /// Nowhere.
    var missing = 0
    /// Members of a case that is not there.
    var orphans = 0

    var text: String {
        "reports      \(accepted) accepted: \(inCase) in a case, \(rejected) rejected, \(dead) dead, "
            + "\(onTheWay + young) on their way, \(missing) missing"
            + (orphans > 0 ? "; \(orphans) in cases that are not there" : "")
    }

    static func read(since: Timestamp, grace: Int, _ database: ControlDatabase) async throws -> ReportBalance {
        let rows = try await database.client.query(
            """
            WITH report AS (
                SELECT r.report_id, r.received_at, s.outcome, s.case_id
                FROM intake.report r
                LEFT JOIN dispatch.api_report_state s ON s.report_id = r.report_id
                WHERE r.report_id >= sluice.uuid_v7_floor(\(since)::timestamptz - interval '10 minutes')
                  AND r.received_at >= \(since)
                  AND r.district_id <> sluice.canary()
                  AND r.kind IN ('hazard', 'complaint', 'request', 'finding')
            ), open AS (
                SELECT r.report_id, r.received_at,
                       EXISTS (
                           SELECT FROM intake.history h
                           WHERE h.aggregate_id = r.report_id
                             AND (EXISTS (SELECT FROM intake.outbox o WHERE o.id = h.id)
                                  OR EXISTS (SELECT FROM intake.emergency_outbox o WHERE o.id = h.id)
                                  OR EXISTS (SELECT FROM dispatch.retry p WHERE p.event_id = h.id))
                       ) AS waits
                FROM report r
                WHERE r.outcome IS NULL
            ), span AS (
                SELECT clock_timestamp() - make_interval(secs => \(grace)::float8) AS grace_begins
            )
            SELECT (SELECT count(*) FROM report) AS accepted,
                   (SELECT count(*) FROM report WHERE outcome = 'case') AS in_case,
                   (SELECT count(*) FROM report WHERE outcome = 'rejected') AS rejected,
                   (SELECT count(*) FROM report WHERE outcome = 'dead') AS dead,
                   (SELECT count(*) FROM open WHERE waits) AS on_the_way,
                   (SELECT count(*) FROM open, span
                    WHERE NOT waits AND received_at >= grace_begins) AS young,
                   (SELECT count(*) FROM open, span
                    WHERE NOT waits AND received_at < grace_begins) AS missing,
                   (SELECT count(*) FROM report r
                    WHERE r.outcome = 'case'
                      AND NOT EXISTS (SELECT FROM dispatch.case_file c WHERE c.case_id = r.case_id)) AS orphans
            """)
        guard let row = rows.first else { return ReportBalance() }
        return ReportBalance(
            accepted: try row.decode("accepted"), inCase: try row.decode("in_case"),
            rejected: try row.decode("rejected"), dead: try row.decode("dead"),
            onTheWay: try row.decode("on_the_way"), young: try row.decode("young"),
            missing: try row.decode("missing") + row.decode("orphans"), orphans: try row.decode("orphans"))
    }
}
