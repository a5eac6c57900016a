internal import FoundationEssentials
internal import Postgres

/// Emergencies of a drill that wait for something, and for what. Waiting is no fault while no crew could be had; being
/// passed over or told to nobody is.
struct WaitingEmergencies: Equatable, Sendable {
    /// Cases, each once.
    var all = 0
    /// No crew that may and can is free, or gives way.
    var forCrew = 0
    /// An unverified sender's: nobody is sent before a dispatcher, a second device or a minute has spoken for it.
    var forVerification = 0
    /// A crew could have been had, or the case is not even in the queue.
    var passedOver = 0
    /// No notice has been tried.
    var untold = 0

    /// - Parameter grace: seconds; what has been like this for less may still be on its way.
    static func read(_ reports: [UUID], grace: Int, _ database: ControlDatabase) async throws -> WaitingEmergencies {
        let rows = try await database.client.query(
            """
            WITH span AS (
                SELECT clock_timestamp() AS now,
                       clock_timestamp() - make_interval(secs => \(grace)::float8) AS grace_begins
            ), began AS (
                -- An emergency begins with the first report that is one.
                SELECT s.case_id, coalesce(min(i.received_at) FILTER (WHERE i.emergency), min(i.received_at)) AS at
                FROM dispatch.api_report_state s
                JOIN intake.api_report i ON i.report_id = s.report_id
                WHERE s.report_id = ANY (\(reports)) AND s.outcome = 'case'
                GROUP BY s.case_id
            ), emergency AS (
                SELECT c.case_id, c.state IN ('filed', 'reopened') AS needs_crew, c.changed_at,
                       b.at < span.grace_begins AND c.state NOT IN ('merged', 'rejected') AND NOT EXISTS (
                           SELECT FROM notification.api_notice n
                           WHERE n.case_id = c.case_id AND n.first_attempt_at IS NOT NULL) AS untold
                FROM span, began b
                JOIN dispatch.case_file c ON c.case_id = b.case_id
                WHERE c.emergency
            ), waiting AS (
                SELECT e.untold,
                       CASE
                           WHEN NOT e.needs_crew THEN NULL
                           WHEN q.not_before > span.now THEN 'verification'
                           WHEN e.changed_at >= span.grace_begins THEN 'crew'
                           WHEN q.case_id IS NULL THEN 'passed over'
                           -- As the claim looks: a free crew, or one that has not left for something less severe.
                           WHEN EXISTS (
                               SELECT FROM dispatch.crew_slot s
                               JOIN dispatch.crew k ON k.crew_id = s.crew_id
                               WHERE s.shift_id IS NOT NULL AND k.active AND NOT k.canary AND q.skills <@ k.skills
                                 AND NOT k.crew_id = ANY (q.excluded)
                                 AND (k.district_id = q.district_id OR EXISTS (
                                     SELECT FROM dispatch.crew_loan l
                                     WHERE l.crew_id = k.crew_id AND l.district_id = q.district_id
                                       AND span.now BETWEEN l.since AND l.until))
                                 AND (s.active_order IS NULL AND s.free_since < span.grace_begins
                                      OR s.active_emergency AND s.active_state IN ('assigned', 'accepted')
                                         AND s.active_severity < q.severity)
                           ) THEN 'passed over'
                           ELSE 'crew'
                       END AS wait
                FROM span, emergency e
                LEFT JOIN dispatch.claim_queue q ON q.case_id = e.case_id AND q.emergency
            )
            SELECT count(*) FILTER (WHERE wait IS NOT NULL OR untold) AS all_of_them,
                   count(*) FILTER (WHERE wait = 'crew') AS for_crew,
                   count(*) FILTER (WHERE wait = 'verification') AS for_verification,
                   count(*) FILTER (WHERE wait = 'passed over') AS passed_over,
                   count(*) FILTER (WHERE untold) AS untold
            FROM waiting
            """)
        guard let row = rows.first else { return WaitingEmergencies() }
        return WaitingEmergencies(
            all: try row.decode("all_of_them"), forCrew: try row.decode("for_crew"),
            forVerification: try row.decode("for_verification"), passedOver: try row.decode("passed_over"),
            untold: try row.decode("untold"))
    }
}
