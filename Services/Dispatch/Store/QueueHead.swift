import Model
import Postgres

/// Which cases are to be looked at next. The queue is read by *kind* (district and set of skills): a kind that no crew
/// could serve now costs one look however many of its cases wait, and hides none of another kind.
extension QueueStore {
    private static let waitingColumns: SQL = """
        q.case_id, q.district_id AS queue_district, q.emergency, q.severity, q.verified, q.not_before, q.since,
        q.skills AS wanted_skills, q.skill_key, q.excluded, q.silent, q.lon, q.lat, q.canary
        """

    /// In front of the statements below. The planner takes the crews that fit for few and would read all of
    /// them; the index of positions has the nearest first. Planning costs more than running, so it is done once. In force
    /// until the end of the transaction.
    static let pinnedPlans: SQL = """
        SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
               set_config('enable_bitmapscan', 'off', true), set_config('enable_hashjoin', 'off', true),
               set_config('enable_mergejoin', 'off', true), set_config('enable_material', 'off', true),
               set_config('join_collapse_limit', '1', true), set_config('plan_cache_mode', 'force_generic_plan', true)
        """

    // MARK: - Emergencies

    /// Rows of `firstEmergencies` at most: one emergency has up to 32 candidates, most have eight.
    static let headRows = 96

    /// The first emergencies that some crew could take, each with its candidates. Those between them that no crew could
    /// take are passed over; nothing is locked yet.
    static func firstEmergencies(passingOver skipped: [Case.ID]) -> SQL {
        let works: SQL = "c.active AND NOT c.canary"
        let isFree: SQL = "\(works) AND s.active_order IS NULL"
        let givesWay: SQL = "s.active_emergency AND s.active_state IN ('assigned', 'accepted')"
        let couldTake: SQL = """
            \(works) AND NOT s.crew_id = ANY (q.excluded)
            AND (s.active_order IS NULL OR \(givesWay) AND s.active_severity < q.severity)
            """
        return """
            WITH RECURSIVE \(kinds(emergency: true)),
            served AS (
                -- The least severity for which a crew could be had: any, if one is free.
                SELECT w.*, CASE WHEN \(someCrew(of: "w", where: isFree)) THEN 0 ELSE (
                    SELECT min(x.severity) + 1 FROM (
                        SELECT s.active_severity AS severity FROM \(crews(of: "w", where: "\(works) AND \(givesWay)"))
                        UNION ALL
                        SELECT s.active_severity FROM \(lentCrews(to: "w", where: "\(works) AND \(givesWay)"))
                    ) x
                ) END AS severity
                FROM kind w
            ),
            head AS (
                SELECT q.*
                FROM served w
                CROSS JOIN LATERAL (
                    SELECT * FROM dispatch.claim_queue q
                    WHERE q.emergency AND q.district_id = w.district_id AND q.skill_key = w.skill_key
                      AND q.severity >= w.severity AND q.not_before <= statement_timestamp()
                      AND NOT q.case_id = ANY (\(skipped))
                      AND (q.excluded = '{}' OR \(someCrew(of: "q", where: couldTake)))
                    ORDER BY q.verified DESC, q.severity DESC, q.since, q.case_id
                    LIMIT \(headRows)
                ) q
                ORDER BY q.verified DESC, q.severity DESC, q.since, q.case_id
                LIMIT \(headRows)
            )
            \(withCandidates("head"))
            """
    }

    /// The canary's rows, which are looked for apart: real ones never wait behind them, nor they behind real ones.
    static let firstCanaries: SQL = withCandidates(
        """
        (SELECT * FROM dispatch.claim_queue w
         WHERE w.canary AND w.emergency AND w.not_before <= statement_timestamp()
         ORDER BY w.since
         LIMIT 8)
        """)

    private static func withCandidates(_ head: SQL) -> SQL {
        """
        SELECT \(waitingColumns), k.*
        FROM \(head) q
        CROSS JOIN LATERAL (
            \(CrewStore.candidates(
                lon: "q.lon", lat: "q.lat", district: "q.district_id", skills: "q.skills", excluded: "q.excluded",
                severity: "q.severity", canary: "q.canary"))
        ) k
        ORDER BY q.verified DESC, q.severity DESC, q.since, q.case_id
        LIMIT \(headRows)
        """
    }

    // MARK: - Routine work

    /// The head of the routine queue with the nearest crew that has room for each, oldest and most severe first. Crews
    /// that did not answer a case before come after the others.
    static func routineHead(limit: Int, passingOver skipped: [Case.ID]) -> SQL {
        let hasRoom: SQL = """
            NOT s.clear_list AND s.active_emergency IS NOT TRUE AND s.listed < c.list_limit AND c.active AND NOT c.canary
            """
        let mayTake: SQL = "\(hasRoom) AND NOT s.crew_id = ANY (q.excluded)"
        let fits: SQL = """
            s.shift_id IS NOT NULL AND \(hasRoom) AND w.skills <@ c.skills AND NOT c.crew_id = ANY (w.excluded)
            """
        let answers: SQL = "NOT c.crew_id = ANY (w.silent)"
        let distance: SQL = "p.location <-> ST_SetSRID(ST_MakePoint(w.lon, w.lat), 4326)::geography"
        return """
            WITH RECURSIVE \(kinds(emergency: false)),
            head AS (
                SELECT q.*
                FROM (SELECT * FROM kind w WHERE \(someCrew(of: "w", where: hasRoom))) w
                CROSS JOIN LATERAL (
                    SELECT * FROM dispatch.claim_queue q
                    WHERE NOT q.emergency AND q.district_id = w.district_id AND q.skill_key = w.skill_key
                      AND q.not_before <= statement_timestamp() AND NOT q.case_id = ANY (\(skipped))
                      AND (q.excluded = '{}' OR \(someCrew(of: "q", where: mayTake)))
                    ORDER BY q.severity DESC, q.since, q.case_id
                    LIMIT \(limit)
                ) q
                ORDER BY q.severity DESC, q.since, q.case_id
                LIMIT \(limit)
            )
            SELECT w.case_id, near.crew_id
            FROM head w
            CROSS JOIN LATERAL (
                SELECT n.crew_id
                FROM (
                    (SELECT c.crew_id, false AS was_silent, \(distance) AS distance
                     FROM dispatch.crew_position p
                     JOIN dispatch.crew_slot s USING (crew_id)
                     JOIN dispatch.crew c USING (crew_id)
                     WHERE p.district_id = w.district_id AND \(fits) AND \(answers)
                     ORDER BY \(distance)
                     LIMIT 1)
                    UNION ALL
                    -- Not by the index of positions (that is what the 0 says): few crews are on loan.
                    (SELECT c.crew_id, false, \(distance)
                     FROM dispatch.crew_loan l
                     JOIN dispatch.crew_slot s USING (crew_id)
                     JOIN dispatch.crew c USING (crew_id)
                     JOIN dispatch.crew_position p USING (crew_id)
                     WHERE \(isLent(to: "w")) AND c.district_id <> w.district_id AND \(fits) AND \(answers)
                     ORDER BY (\(distance)) + 0
                     LIMIT 1)
                    UNION ALL
                    (SELECT c.crew_id, true, \(distance)
                     FROM unnest(w.silent) AS asked (crew_id)
                     JOIN dispatch.crew_slot s USING (crew_id)
                     JOIN dispatch.crew c USING (crew_id)
                     JOIN dispatch.crew_position p USING (crew_id)
                     WHERE \(fits) AND (
                         c.district_id = w.district_id
                         OR EXISTS (
                             SELECT FROM dispatch.crew_loan l WHERE \(isLent(to: "w")) AND l.crew_id = c.crew_id))
                     ORDER BY (\(distance)) + 0
                     LIMIT 1)
                ) n
                ORDER BY n.was_silent, n.distance, n.crew_id
                LIMIT 1
            ) near
            ORDER BY w.severity DESC, w.since, w.case_id
            """
    }

    // MARK: - Parts

    /// `kind`: one step down the index for each district and set of skills, however many cases wait for it.
    private static func kinds(emergency: Bool) -> SQL {
        let which: SQL = emergency ? "q.emergency" : "NOT q.emergency"
        return """
            kind AS (
                (SELECT q.district_id, q.skill_key, q.skills FROM dispatch.claim_queue q WHERE \(which)
                 ORDER BY q.district_id, q.skill_key LIMIT 1)
                UNION ALL
                SELECT next.* FROM kind CROSS JOIN LATERAL (
                    SELECT q.district_id, q.skill_key, q.skills FROM dispatch.claim_queue q
                    WHERE \(which) AND (q.district_id, q.skill_key) > (kind.district_id, kind.skill_key)
                    ORDER BY q.district_id, q.skill_key LIMIT 1
                ) next
            )
            """
    }

    /// Crews on shift of the district of `row` that have its skills. `row` names a kind or a waiting case; `condition` is
    /// about `s`, the slot, and `c`, the crew.
    private static func crews(of row: SQL, where condition: SQL) -> SQL {
        """
        dispatch.crew_slot s JOIN dispatch.crew c USING (crew_id)
        WHERE s.district_id = \(row).district_id AND s.shift_id IS NOT NULL AND \(row).skills <@ c.skills AND \(condition)
        """
    }

    /// The same of the crews that are on loan to that district.
    private static func lentCrews(to row: SQL, where condition: SQL) -> SQL {
        """
        dispatch.crew_loan l JOIN dispatch.crew_slot s USING (crew_id) JOIN dispatch.crew c USING (crew_id)
        WHERE \(isLent(to: row)) AND s.shift_id IS NOT NULL AND \(row).skills <@ c.skills AND \(condition)
        """
    }

    private static func someCrew(of row: SQL, where condition: SQL) -> SQL {
        """
        (EXISTS (SELECT FROM \(crews(of: row, where: condition)))
         OR EXISTS (SELECT FROM \(lentCrews(to: row, where: condition))))
        """
    }

    /// By the statement's own time: no index can be searched by a clock that moves meanwhile.
    private static func isLent(to row: SQL) -> SQL {
        "l.district_id = \(row).district_id AND statement_timestamp() BETWEEN l.since AND l.until"
    }
}
