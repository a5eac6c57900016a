import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// A row of `dispatch.claim_queue`: a case that waits for a crew.
struct QueueRecord: Codable, Sendable, Hashable {
    var caseID: Case.ID
    var districtID: District.ID
    var emergency: Bool
    var severity: Severity
    var verified: Bool
    var notBefore: Timestamp
    var since: Timestamp
    var skills: [String]
    var skillKey: String
    var excluded: [Crew.ID]
    var lon: Double
    var lat: Double
    var canary: Bool

    enum CodingKeys: String, CodingKey {
        case caseID = "case_id"
        case districtID = "district_id"
        case emergency, severity, verified
        case notBefore = "not_before"
        case since, skills
        case skillKey = "skill_key"
        case excluded, lon, lat, canary
    }
}

extension QueueRecord {
    /// The row for a case that needs a crew from `now` on. Its age is the case's, so that one that comes back to the
    /// queue does not go to its end.
    init(_ record: CaseRecord, skills: [String], excluded: [Crew.ID] = [], now: Timestamp) {
        let sorted = Set(skills).sorted()
        self.init(
            caseID: record.caseID, districtID: record.districtID, emergency: record.emergency,
            severity: record.severity, verified: record.verified,
            notBefore: QueuePriority.eligibleFrom(
                emergency: record.emergency, verified: record.verified, queuedAt: now
            ).at,
            since: record.openedAt, skills: sorted, skillKey: sorted.joined(separator: ","), excluded: excluded,
            lon: record.lon, lat: record.lat, canary: record.canary)
    }

    init(_ row: Row) throws {
        self.init(
            caseID: try row.decode("case_id"), districtID: try row.decode("district_id"),
            emergency: try row.decode("emergency"), severity: try row.decode("severity"),
            verified: try row.decode("verified"), notBefore: try row.decode("not_before"),
            since: try row.decode("since"), skills: try row.decode("skills"), skillKey: try row.decode("skill_key"),
            excluded: try row.decode("excluded"), lon: try row.decode("lon"), lat: try row.decode("lat"),
            canary: try row.decode("canary"))
    }

    /// A row of `QueueStore.firstEmergencies`, which names two columns apart from the crew's.
    init(waiting row: Row) throws {
        self.init(
            caseID: try row.decode("case_id"), districtID: try row.decode("queue_district"),
            emergency: try row.decode("emergency"), severity: try row.decode("severity"),
            verified: try row.decode("verified"), notBefore: try row.decode("not_before"),
            since: try row.decode("since"), skills: try row.decode("wanted_skills"),
            skillKey: try row.decode("skill_key"), excluded: try row.decode("excluded"), lon: try row.decode("lon"),
            lat: try row.decode("lat"), canary: try row.decode("canary"))
    }

    var priority: QueuePriority {
        QueuePriority(emergency: emergency, severity: severity, verified: verified, since: since, caseID: caseID)
    }

    var demand: CrewClaim.Demand {
        CrewClaim.Demand(
            caseID: caseID, districtID: districtID, emergency: emergency, severity: severity, skills: Set(skills),
            excluded: Set(excluded))
    }

    var place: Coordinate { Coordinate(lon: lon, lat: lat) }
}

enum QueueStore {
    static let columns: SQL = """
        case_id, district_id, emergency, severity, verified, not_before, since, skills, skill_key, excluded, lon, lat,
        canary
        """

    /// Adds, or sets anew what has changed about a case that waits already. A wait for verification begins once, when the case becomes an emergency.
    static func put(_ records: [QueueRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            INSERT INTO dispatch.claim_queue AS q (\(columns))
            SELECT \(columns)
            FROM json_populate_recordset(NULL::dispatch.claim_queue, \(try RecordText.text(of: records))::json)
            ORDER BY case_id
            ON CONFLICT (case_id) DO UPDATE
            SET emergency = excluded.emergency, severity = excluded.severity, verified = excluded.verified,
                not_before = CASE WHEN excluded.emergency AND NOT q.emergency THEN excluded.not_before
                    ELSE least(q.not_before, excluded.not_before) END,
                skills = excluded.skills,
                skill_key = excluded.skill_key,
                excluded = ARRAY (SELECT DISTINCT unnest(q.excluded || excluded.excluded))
            """
        ]
    }

    /// What a joining report changes about a case that waits, if it still waits.
    static func raise(_ caseID: Case.ID, severity: Severity?, verifies: Bool, now: Timestamp) -> SQL {
        """
        UPDATE dispatch.claim_queue
        SET severity = greatest(severity, \((severity?.rawValue).postgresParameter)::smallint), verified = verified OR \(verifies),
            not_before = CASE WHEN \(verifies) THEN least(not_before, \(now)::timestamptz) ELSE not_before END
        WHERE case_id = \(caseID)
        """
    }

    static func remove(_ cases: [Case.ID]) -> SQL {
        "DELETE FROM dispatch.claim_queue WHERE case_id = ANY (\(cases))"
    }

    static func lock(_ cases: [Case.ID]) -> SQL {
        "SELECT \(columns) FROM dispatch.claim_queue WHERE case_id = ANY (\(cases)) ORDER BY case_id FOR UPDATE"
    }

    /// A claim passes over what another claim has just taken.
    static func lockFree(_ cases: [Case.ID]) -> SQL {
        """
        SELECT \(columns) FROM dispatch.claim_queue
        WHERE case_id = ANY (\(cases)) AND not_before <= clock_timestamp()
        ORDER BY case_id
        FOR UPDATE SKIP LOCKED
        """
    }

    private static let waitingColumns: SQL = """
        q.case_id, q.district_id AS queue_district, q.emergency, q.severity, q.verified, q.not_before, q.since,
        q.skills AS wanted_skills, q.skill_key, q.excluded, q.lon, q.lat, q.canary
        """

    /// In front of `firstEmergencies` and `routineHead`. The planner takes the crews that fit for few and would read all of
    /// them; the index of positions has the nearest first. Planning costs more than running, so it is done once. In force
    /// until the end of the transaction.
    static let pinnedPlans: SQL = """
        SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
               set_config('enable_bitmapscan', 'off', true), set_config('enable_hashjoin', 'off', true),
               set_config('enable_mergejoin', 'off', true), set_config('enable_material', 'off', true),
               set_config('join_collapse_limit', '1', true), set_config('plan_cache_mode', 'force_generic_plan', true)
        """

    /// Rows of `firstEmergencies` at most: one emergency has up to 32 candidates, most have eight.
    static let headRows = 96

    /// The first emergencies that some crew could take, each with its candidates. Rows between them that no crew could
    /// take are passed over; nothing is locked yet.
    /// - Parameter canary: the canary's rows, which are looked for apart: real ones never wait behind them, and a queue
    ///   of real ones that no crew can take does not hide them.
    static func firstEmergencies(passingOver skipped: [Case.ID], canary: Bool = false) -> SQL {
        let which: SQL = canary ? "w.canary" : "NOT w.canary"
        return """
            SELECT \(waitingColumns), k.*
            FROM (
                SELECT * FROM dispatch.claim_queue w
                WHERE \(which) AND w.emergency AND w.not_before <= clock_timestamp()
                  AND NOT w.case_id = ANY (\(skipped))
                  AND EXISTS (SELECT FROM dispatch.crew_slot s WHERE s.shift_id IS NOT NULL)
                ORDER BY w.verified DESC, w.severity DESC, w.since, w.case_id
                LIMIT 200
            ) q
            CROSS JOIN LATERAL (
                \(CrewStore.candidates(
                    lon: "q.lon", lat: "q.lat", district: "q.district_id", skills: "q.skills", excluded: "q.excluded",
                    severity: "q.severity", canary: "q.canary"))
            ) k
            ORDER BY q.verified DESC, q.severity DESC, q.since, q.case_id
            LIMIT \(headRows)
            """
    }

    /// The head of the routine queue with the nearest crew that has room for each, oldest and most severe first.
    static func routineHead(limit: Int, passingOver skipped: [Case.ID]) -> SQL {
        let hasRoom: SQL = """
            s.shift_id IS NOT NULL AND NOT s.clear_list AND s.active_emergency IS NOT TRUE
            AND s.listed < c.list_limit AND c.active AND NOT c.canary
            """
        // The statement's own time: no index can be searched by a clock that moves meanwhile.
        let lent: SQL = "l.district_id = w.district_id AND statement_timestamp() BETWEEN l.since AND l.until"
        let fits: SQL = "w.skills <@ c.skills AND NOT c.crew_id = ANY (w.excluded)"
        let distance: SQL = "p.location <-> ST_SetSRID(ST_MakePoint(w.lon, w.lat), 4326)::geography"
        return """
            WITH RECURSIVE kind AS (
                -- One step down the index for each district and set of skills, however many cases wait for it.
                (SELECT q.district_id, q.skill_key, q.skills FROM dispatch.claim_queue q WHERE NOT q.emergency
                 ORDER BY q.district_id, q.skill_key LIMIT 1)
                UNION ALL
                SELECT next.* FROM kind CROSS JOIN LATERAL (
                    SELECT q.district_id, q.skill_key, q.skills FROM dispatch.claim_queue q
                    WHERE NOT q.emergency AND (q.district_id, q.skill_key) > (kind.district_id, kind.skill_key)
                    ORDER BY q.district_id, q.skill_key LIMIT 1
                ) next
            ),
            head AS (
                SELECT q.*
                FROM kind w
                CROSS JOIN LATERAL (
                    SELECT * FROM dispatch.claim_queue q
                    WHERE NOT q.emergency AND q.district_id = w.district_id AND q.skill_key = w.skill_key
                      AND NOT q.case_id = ANY (\(skipped))
                    ORDER BY q.severity DESC, q.since, q.case_id
                    LIMIT \(limit)
                ) q
                -- Where somebody has room: cases that nobody can take must not stand before those of others.
                WHERE q.not_before <= clock_timestamp() AND (
                    EXISTS (
                        SELECT FROM dispatch.crew_slot s JOIN dispatch.crew c USING (crew_id)
                        WHERE s.district_id = w.district_id AND \(hasRoom) AND w.skills <@ c.skills)
                    OR EXISTS (
                        SELECT FROM dispatch.crew_loan l
                        JOIN dispatch.crew_slot s USING (crew_id)
                        JOIN dispatch.crew c USING (crew_id)
                        WHERE \(lent) AND \(hasRoom) AND w.skills <@ c.skills))
                ORDER BY q.severity DESC, q.since, q.case_id
                LIMIT \(limit)
            )
            SELECT w.case_id, near.crew_id
            FROM head w
            CROSS JOIN LATERAL (
                SELECT n.crew_id
                FROM (
                    (SELECT c.crew_id, \(distance) AS distance
                     FROM dispatch.crew_position p
                     JOIN dispatch.crew_slot s USING (crew_id)
                     JOIN dispatch.crew c USING (crew_id)
                     WHERE p.district_id = w.district_id AND \(hasRoom) AND \(fits)
                     ORDER BY \(distance)
                     LIMIT 1)
                    UNION ALL
                    -- Not by the index of positions (that is what the 0 says): few crews are on loan.
                    (SELECT c.crew_id, \(distance) AS distance
                     FROM dispatch.crew_loan l
                     JOIN dispatch.crew_slot s USING (crew_id)
                     JOIN dispatch.crew c USING (crew_id)
                     JOIN dispatch.crew_position p USING (crew_id)
                     WHERE \(lent) AND c.district_id <> w.district_id AND \(hasRoom) AND \(fits)
                     ORDER BY (\(distance)) + 0
                     LIMIT 1)
                ) n
                ORDER BY n.distance, n.crew_id
                LIMIT 1
            ) near
            ORDER BY w.severity DESC, w.since, w.case_id
            """
    }
}
