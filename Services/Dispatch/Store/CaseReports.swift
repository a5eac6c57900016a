import FoundationEssentials
import Model
import Outbox
import Postgres

/// The reports of one case, the first received first. A storm may bring thousands to one case, so they come in pages;
/// the cursor is the last row's (received_at, report_id).
enum CaseReports {
    static let columns: SQL = """
        s.report_id, s.filed_case_id, s.reason, s.decided_at, s.channel, s.kind, s.category, s.emergency, s.severity,
        s.verified, s.lon, s.lat, s.observed_at, s.received_at, r.address, r.description, r.rule_version, r.rule_reason
        """

    /// What people wrote is read where it is kept.
    static let text: SQL =
        "LEFT JOIN intake.api_report r ON r.report_id = s.report_id AND r.district_id = s.district_id"

    static let photoColumns: SQL = """
        a.sha256, a.content_type, a.width, a.height, a.bytes, a.taken_at, a.position, a.thumbnail_sha256,
        '/v1/attachments/' || a.sha256 AS url, '/v1/attachments/' || a.sha256 || '?size=thumbnail' AS thumbnail_url
        """

    /// One row if the case is there for whoever looks: a crew sees the cases that it has, or had, an order for.
    static func isSeen(_ caseID: Case.ID, crew: Crew.ID?) -> SQL {
        let own: SQL =
            crew.map {
                "EXISTS (SELECT FROM dispatch.work_order o WHERE o.case_id = c.case_id AND o.crew_id = \($0))"
            } ?? "true"
        return """
            SELECT c.case_id FROM dispatch.case_file c
            WHERE c.case_id = \(caseID) AND c.district_id <> sluice.city() AND \(own)
            """
    }

    /// Each with its photos.
    static func page(_ caseID: Case.ID, after: (receivedAt: Timestamp, reportID: UUID)?, limit: Int) -> SQL {
        let later: SQL =
            after.map { "(s.received_at, s.report_id) > (\($0.receivedAt), \($0.reportID))" } ?? "true"
        return """
            SELECT f.received_at, f.report_id, to_jsonb(f) AS item
            FROM (
                SELECT \(columns),
                       coalesce(
                           (SELECT jsonb_agg(to_jsonb(p))
                            FROM (SELECT \(photoColumns)
                                  FROM intake.api_attachment a
                                  WHERE a.report_id = s.report_id AND a.district_id = s.district_id
                                  ORDER BY a.ordinal) p), '[]') AS photos
                FROM dispatch.report_state s \(text)
                WHERE s.case_id = \(caseID) AND \(later)
                ORDER BY s.received_at, s.report_id
                LIMIT \(limit)::int
            ) f
            ORDER BY f.received_at, f.report_id
            """
    }
}
