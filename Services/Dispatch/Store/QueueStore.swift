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
    /// Crews that declined it, or that it was taken from.
    var excluded: [Crew.ID]
    /// Crews that did not answer, which routine work goes to after the others.
    var silent: [Crew.ID]
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
        case excluded, silent, lon, lat, canary
    }
}

extension QueueRecord {
    /// The row for a case that needs a crew from `now` on. Its age is the case's, so that one that comes back to the
    /// queue does not go to its end.
    init(
        _ record: CaseRecord, skills: [String], excluded: [Crew.ID] = [], silent: [Crew.ID] = [], now: Timestamp
    ) {
        let sorted = Set(skills).sorted()
        self.init(
            caseID: record.caseID, districtID: record.districtID, emergency: record.emergency,
            severity: record.severity, verified: record.verified,
            notBefore: QueuePriority.eligibleFrom(
                emergency: record.emergency, verified: record.verified, queuedAt: now
            ).at,
            since: record.openedAt, skills: sorted, skillKey: sorted.joined(separator: ","), excluded: excluded,
            silent: silent, lon: record.lon, lat: record.lat, canary: record.canary)
    }

    init(_ row: Row) throws {
        self.init(
            caseID: try row.decode("case_id"), districtID: try row.decode("district_id"),
            emergency: try row.decode("emergency"), severity: try row.decode("severity"),
            verified: try row.decode("verified"), notBefore: try row.decode("not_before"),
            since: try row.decode("since"), skills: try row.decode("skills"), skillKey: try row.decode("skill_key"),
            excluded: try row.decode("excluded"), silent: try row.decode("silent"), lon: try row.decode("lon"),
            lat: try row.decode("lat"), canary: try row.decode("canary"))
    }

    /// A row of `firstEmergencies` or `firstCanaries`, which names two columns apart from the crew's.
    init(waiting row: Row) throws {
        self.init(
            caseID: try row.decode("case_id"), districtID: try row.decode("queue_district"),
            emergency: try row.decode("emergency"), severity: try row.decode("severity"),
            verified: try row.decode("verified"), notBefore: try row.decode("not_before"),
            since: try row.decode("since"), skills: try row.decode("wanted_skills"),
            skillKey: try row.decode("skill_key"), excluded: try row.decode("excluded"),
            silent: try row.decode("silent"), lon: try row.decode("lon"), lat: try row.decode("lat"),
            canary: try row.decode("canary"))
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
        case_id, district_id, emergency, severity, verified, not_before, since, skills, skill_key, excluded, silent,
        lon, lat, canary
        """

    /// Adds cases that this transaction opens: nobody has been asked for them.
    static func add(_ records: [QueueRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            INSERT INTO dispatch.claim_queue (\(columns))
            SELECT \(columns)
            FROM json_populate_recordset(NULL::dispatch.claim_queue, \(try RecordText.text(of: records))::json)
            ORDER BY case_id
            """
        ]
    }

    /// Adds, or sets anew what has changed about a case that waits already. Who has declined the case or not answered since
    /// somebody last finished it is read from its orders. A wait for verification begins once, when the case becomes an
    /// emergency.
    static func put(_ records: [QueueRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        func crews(_ column: SQL, whoseOrdersEnded state: OrderState) -> SQL {
            """
            ARRAY (
                SELECT unnest(n.\(column))
                UNION
                SELECT o.crew_id FROM dispatch.work_order o
                WHERE o.case_id = n.case_id AND o.state = \(state.rawValue) AND NOT EXISTS (
                    SELECT FROM dispatch.work_order d
                    WHERE d.case_id = n.case_id AND d.assigned_at > o.assigned_at AND d.state = 'done'))
            """
        }
        return [
            """
            INSERT INTO dispatch.claim_queue AS q (\(columns))
            SELECT case_id, district_id, emergency, severity, verified, not_before, since, skills, skill_key,
                   \(crews("excluded", whoseOrdersEnded: .declined)), \(crews("silent", whoseOrdersEnded: .silent)),
                   lon, lat, canary
            FROM json_populate_recordset(NULL::dispatch.claim_queue, \(try RecordText.text(of: records))::json) n
            ORDER BY case_id
            ON CONFLICT (case_id) DO UPDATE
            SET emergency = excluded.emergency, severity = excluded.severity, verified = excluded.verified,
                not_before = CASE WHEN excluded.emergency AND NOT q.emergency THEN excluded.not_before
                    ELSE least(q.not_before, excluded.not_before) END,
                skills = excluded.skills,
                skill_key = excluded.skill_key,
                excluded = ARRAY (SELECT DISTINCT unnest(q.excluded || excluded.excluded)),
                silent = ARRAY (SELECT DISTINCT unnest(q.silent || excluded.silent))
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
}
