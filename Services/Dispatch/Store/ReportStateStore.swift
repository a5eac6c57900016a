import FoundationEssentials
import Model
import Outbox
import Postgres

/// A row of `dispatch.report_state`: what became of one report.
struct ReportStateRecord: Encodable, Sendable, Hashable {
    var reportID: Report.ID
    var districtID: District.ID
    var outcome: ReportOutcome
    var caseID: Case.ID?
    var filedCaseID: Case.ID?
    var reason: String
    var category: String
    var kind: ReportKind
    var channel: ReportChannel
    var emergency: Bool
    var verified: Bool
    var severity: Severity
    var deviceHash: String?
    var lon: Double
    var lat: Double
    var observedAt: Timestamp
    var receivedAt: Timestamp
    var decidedAt: Timestamp

    enum CodingKeys: String, CodingKey {
        case reportID = "report_id"
        case districtID = "district_id"
        case outcome
        case caseID = "case_id"
        case filedCaseID = "filed_case_id"
        case reason, category, kind, channel, emergency, verified, severity
        case deviceHash = "device_hash"
        case lon, lat
        case observedAt = "observed_at"
        case receivedAt = "received_at"
        case decidedAt = "decided_at"
    }

    init(
        _ report: ReportSnapshot, outcome: ReportOutcome, caseID: Case.ID?, reason: String, decidedAt: Timestamp
    ) {
        self.reportID = report.reportID
        self.districtID = report.districtID
        self.outcome = outcome
        self.caseID = caseID
        self.filedCaseID = caseID
        self.reason = reason
        self.category = report.category
        self.kind = report.kind
        self.channel = report.channel
        self.emergency = report.emergency
        self.verified = report.verified
        self.severity = report.severity
        self.deviceHash = report.deviceHash
        self.lon = report.place.lon
        self.lat = report.place.lat
        self.observedAt = report.observedAt
        self.receivedAt = report.receivedAt
        self.decidedAt = decidedAt
    }
}

enum ReportStateStore {
    private static let columns: SQL = """
        report_id, district_id, outcome, case_id, filed_case_id, reason, category, kind, channel, emergency, verified,
        severity, device_hash, lon, lat, observed_at, received_at, decided_at
        """

    static func insert(_ records: [ReportStateRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            INSERT INTO dispatch.report_state (\(columns))
            SELECT \(columns)
            FROM json_populate_recordset(NULL::dispatch.report_state, \(try RecordText.text(of: records))::json)
            """
        ]
    }

    /// Those that have been decided already, by an event that announced them anew.
    static func decided(_ reports: [Report.ID]) -> SQL {
        "SELECT report_id FROM dispatch.report_state WHERE report_id = ANY (\(reports))"
    }

    /// A merge moves membership; the case that each report was filed under stays known.
    static func move(from source: Case.ID, to target: Case.ID) -> SQL {
        "UPDATE dispatch.report_state SET case_id = \(target) WHERE case_id = \(source)"
    }

    /// The reports that were filed under the case, or under those that had been merged into it before.
    private static func own(_ caseID: Case.ID) -> SQL {
        """
        WITH RECURSIVE own AS (
            SELECT \(caseID)::uuid AS case_id
            UNION
            SELECT c.case_id FROM dispatch.case_file c JOIN own ON c.merged_into = own.case_id
        )
        """
    }

    /// What a merged case brought along.
    struct Share: Sendable {
        var count: Int
        /// When the first of the target's other reports was received.
        var othersFrom: Timestamp?

        init(_ row: Row) throws {
            count = try row.decode("count")
            othersFrom = try row.decode("others_from")
        }
    }

    static func share(of caseID: Case.ID, in target: Case.ID?) -> SQL {
        """
        \(own(caseID))
        SELECT (SELECT count(*)::integer FROM dispatch.report_state
                WHERE filed_case_id IN (SELECT case_id FROM own)) AS count,
               (SELECT min(received_at) FROM dispatch.report_state
                WHERE case_id = \(target)::uuid AND filed_case_id <> ALL (ARRAY (SELECT case_id FROM own))) AS others_from
        """
    }

    static func moveBack(to caseID: Case.ID) -> SQL {
        """
        \(own(caseID))
        UPDATE dispatch.report_state SET case_id = \(caseID) WHERE filed_case_id IN (SELECT case_id FROM own)
        """
    }
}
