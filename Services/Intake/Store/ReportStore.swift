import FoundationEssentials
import Model
import Postgres
import Rules

/// A report as it is written: what was said, where, and what the rules made of it.
struct ReportRecord: Sendable {
    var id: Report.ID
    var districtID: District.ID
    var streetID: Street.ID?
    var gridID: Grid.ID?
    var communityID: Community.ID?
    var facilityID: Facility.ID?
    var kind: ReportKind
    var category: String
    var categoryVersion: Int
    var channel: ReportChannel
    var personAtRisk: Bool
    var place: Coordinate
    var address: String?
    var description: String
    var language: ReportLanguage
    var observedAt: Timestamp
    var receivedAt: Timestamp
    var deviceHash: String?
    var accountID: Account.ID?
    var decision: EmergencyRule.Decision
    var verdict: SenderVerdict
}

/// Why the sender counts as verified; `routine` where nobody asked.
enum SenderVerdict: Sendable, Hashable {
    case routine
    case judged(SenderBudget.Verdict)

    var word: String {
        switch self {
        case .routine: "routine"
        case .judged(let verdict): verdict.rawValue
        }
    }

    var isVerified: Bool {
        switch self {
        case .routine: true
        case .judged(let verdict): verdict.isVerified
        }
    }
}

/// The statements that write a report. They are parts of one segment, so they are texts and not calls.
enum ReportStatements {
    static func insert(_ report: ReportRecord, personID: UUID?) throws -> SQL {
        let inputs = try JSONBytes.text(of: report.decision.inputs)
        return """
            INSERT INTO intake.report (
                report_id, district_id, street_id, grid_id, community_id, facility_id, kind, category,
                category_version, channel, emergency, severity, person_at_risk, verified, verdict, lon, lat, address,
                description, language, observed_at, received_at, device_hash, account_id, person_id, rule_version,
                rule_code, rule_reason_zh, rule_reason_en, rule_inputs)
            VALUES (
                \(report.id), \(report.districtID), \(report.streetID), \(report.gridID), \(report.communityID),
                \(report.facilityID), \(report.kind), \(report.category), \(report.categoryVersion),
                \(report.channel), \(report.decision.emergency), \(report.decision.severity),
                \(report.personAtRisk), \(report.verdict.isVerified), \(report.verdict.word), \(report.place.lon),
                \(report.place.lat), \(report.address), \(report.description), \(report.language),
                \(report.observedAt), \(report.receivedAt), \(report.deviceHash), \(report.accountID), \(personID),
                \(report.decision.ruleVersion), \(report.decision.reason.code), \(report.decision.reason.zh),
                \(report.decision.reason.en), \(inputs)::jsonb)
            """
    }

    static func track(_ report: ReportRecord, codeHash: [UInt8]) -> SQL {
        """
        INSERT INTO intake.tracking (code_hash, report_id, report_district)
        VALUES (\(codeHash), \(report.id), \(report.districtID))
        """
    }

    static func contact(_ contact: SealedContact, of report: ReportRecord) -> [SQL] {
        [
            """
            INSERT INTO intake.person (person_id, district_id, wrapped_key, lookup_hash)
            VALUES (\(contact.personID), \(report.districtID), \(contact.wrappedKey), \(contact.lookupHash))
            """,
            """
            INSERT INTO intake.contact (report_id, district_id, person_id, sealed)
            VALUES (\(report.id), \(report.districtID), \(contact.personID), \(contact.sealed))
            """,
        ]
    }
}

/// What the sender of a report may see of it and of the case that it became part of.
struct TrackedReport: Sendable {
    struct CaseState: Sendable {
        var id: Case.ID
        var number: String
        var state: Model.CaseState
        var districtID: District.ID
        var emergency: Bool
        var mergedInto: Case.ID?
    }

    struct Step: Sendable, Hashable {
        var at: Timestamp
        var fact: String
    }

    var id: Report.ID
    var districtID: District.ID
    var category: String
    var emergency: Bool
    var verdict: String
    var reason: Reason
    var receivedAt: Timestamp
    var observedAt: Timestamp
    var outcome: ReportOutcome?
    var outcomeReason: String?
    var decidedAt: Timestamp?
    var caseID: Case.ID?
    var photoCount: Int
}

struct ReportStore: Sendable {
    let database: PostgresClient

    /// Where a code leads. The same trip whether it exists or not.
    func find(codeHash: [UInt8]) async throws -> (report: Report.ID, district: District.ID)? {
        let rows = try await database.query(
            "SELECT report_id, report_district FROM intake.find_tracking(\(codeHash))")
        return try rows.first.map { (try $0.decode(0), try $0.decode(1)) }
    }

    func tracked(_ report: Report.ID, in district: District.ID) async throws -> TrackedReport? {
        let rows = try await database.query(
            """
            SELECT r.report_id, r.district_id, r.category, r.emergency, r.verdict, r.rule_code, r.rule_reason_zh,
                   r.rule_reason_en, r.received_at, r.observed_at, s.outcome, s.reason, s.decided_at, s.case_id,
                   (SELECT count(*) FROM intake.attachment a
                    WHERE a.report_id = r.report_id AND a.district_id = \(district)) AS photos
            FROM intake.report r
            LEFT JOIN dispatch.api_report_state s ON s.report_id = r.report_id AND s.district_id = \(district)
            WHERE r.report_id = \(report) AND r.district_id = \(district)
            """, scope: .districts([district.rawValue]))
        return try rows.first.map { row in
            TrackedReport(
                id: try row.decode("report_id"), districtID: try row.decode("district_id"),
                category: try row.decode("category"), emergency: try row.decode("emergency"),
                verdict: try row.decode("verdict"),
                reason: Reason(
                    try row.decode("rule_code"), zh: try row.decode("rule_reason_zh"),
                    en: try row.decode("rule_reason_en")),
                receivedAt: try row.decode("received_at"), observedAt: try row.decode("observed_at"),
                outcome: try row.decode("outcome", as: ReportOutcome?.self), outcomeReason: try row.decode("reason"),
                decidedAt: try row.decode("decided_at", as: Timestamp?.self),
                caseID: try row.decode("case_id", as: Case.ID?.self), photoCount: try row.decode("photos"))
        }
    }

    /// The case and, where it was merged, the one that it is part of now, with the public facts of all of them. A merge
    /// may cross a district's border, so the case ids are what bounds this; the code's owner may follow their report.
    func timeline(_ caseID: Case.ID, districts: [UUID]) async throws -> (
        cases: [TrackedReport.CaseState], steps: [TrackedReport.Step]
    ) {
        let chain: SQL = """
            WITH RECURSIVE chain (case_id, number, state, district_id, emergency, merged_into, depth) AS (
                SELECT case_id, number::text, state, district_id, emergency, merged_into, 1
                FROM dispatch.api_case
                WHERE case_id = \(caseID) AND district_id = ANY(\(districts))
                UNION ALL
                SELECT c.case_id, c.number::text, c.state, c.district_id, c.emergency, c.merged_into, chain.depth + 1
                FROM chain JOIN dispatch.api_case c ON c.case_id = chain.merged_into
                WHERE chain.depth < 10 AND c.district_id = ANY(\(districts))
            )
            """
        let rows = try await database.segment(
            [
                chain + "SELECT case_id, number, state, district_id, emergency, merged_into FROM chain ORDER BY depth",
                chain + """
                    SELECT t.at, t.fact
                    FROM dispatch.api_case_timeline t
                    -- As an array: a join with a view of several tables would read them all.
                    WHERE t.case_id = ANY (ARRAY (SELECT case_id FROM chain)) AND t.district_id = ANY(\(districts))
                    ORDER BY t.at, t.fact
                    LIMIT 200
                    """,
            ], scope: .districts(districts))
        let cases = try rows[0].map { row in
            TrackedReport.CaseState(
                id: try row.decode("case_id"), number: try row.decode("number"), state: try row.decode("state"),
                districtID: try row.decode("district_id"), emergency: try row.decode("emergency"),
                mergedInto: try row.decode("merged_into", as: Case.ID?.self))
        }
        let steps = try rows[1].map { TrackedReport.Step(at: try $0.decode(0), fact: try $0.decode(1)) }
        return (cases, steps)
    }
}
