import FoundationEssentials
import Model
import Outbox
import Postgres

/// Everything that is known about one case, as JSON that the database itself puts together: each part is one text, ready
/// to be shown, and how many there are in all, since a list ends at its limit.
enum CaseDetail {
    struct Part: Sendable {
        /// As the answer calls the list; `<name>_total` stands beside it.
        var name: String
        var columns: SQL
        var from: SQL
        /// What only adds columns, and is not needed to count.
        var adding: SQL = ""
        var condition: SQL
        var order: SQL
        var limit: Int

        var statement: SQL {
            """
            SELECT coalesce(json_agg(row_to_json(part)), '[]'::json)::text,
                   (SELECT count(*) FROM \(from) WHERE \(condition))
            FROM (
                SELECT \(columns)
                FROM \(from) \(adding)
                WHERE \(condition)
                ORDER BY \(order)
                LIMIT \(limit)::int
            ) part
            """
        }
    }

    /// A crew sees its own orders, steps and photos, and nobody's decisions about other crews.
    static func parts(_ caseID: Case.ID, crew: Crew.ID?) -> [Part] {
        let own: SQL = crew.map { "crew_id = \($0)" } ?? "true"
        let crewIsOwn: SQL = crew.map { "t.crew_id = \($0)" } ?? "true"
        let ofOrders: SQL = """
            t.order_id IN (SELECT order_id FROM dispatch.work_order WHERE case_id = \(caseID)) AND (\(crewIsOwn))
            """
        return [
            Part(
                name: "reports", columns: CaseReports.columns, from: "dispatch.report_state s",
                adding: CaseReports.text, condition: "s.case_id = \(caseID)", order: "s.received_at, s.report_id",
                limit: 200),
            Part(
                name: "photos", columns: "a.report_id, \(CaseReports.photoColumns)",
                from: """
                    dispatch.report_state s
                    JOIN intake.api_attachment a ON a.report_id = s.report_id AND a.district_id = s.district_id
                    """,
                condition: "s.case_id = \(caseID)", order: "s.received_at, a.report_id, a.ordinal", limit: 200),
            Part(
                name: "orders",
                columns: """
                    order_id, crew_id, crew_name, emergency, severity, state, assigned_at, accepted_at, en_route_at,
                    on_site_at, done_at, released_at, assigned_by, notes, version,
                    json_build_object('code', reason_code, 'zh', reason_zh, 'en', reason_en) AS reason
                    """,
                from: "dispatch.work_order", condition: "case_id = \(caseID) AND \(own)",
                order: "assigned_at, order_id", limit: 200),
            Part(
                name: "steps",
                columns: """
                    t.step_id, t.order_id, t.crew_id, t.kind, t.observed_at, t.received_at, t.counted_at, t.counted,
                    t.counted_reason, t.offset_ms, t.based_on, t.outcome, t.note, t.photos, t.lon, t.lat,
                    json_build_object('code', t.outcome_code, 'zh', t.outcome_zh, 'en', t.outcome_en) AS reason
                    """,
                from: "dispatch.order_step t", condition: ofOrders, order: "t.received_at, t.step_id", limit: 500),
            Part(
                name: "order_photos",
                columns: """
                    t.attachment_id AS id, t.order_id, t.crew_id, t.kind, t.sha256, t.thumbnail_sha256,
                    t.source_sha256, t.content_type, t.bytes, t.width, t.height, t.observed_at, t.received_at,
                    t.taken_at, t.lon, t.lat,
                    '/v1/orders/' || t.order_id || '/attachments/' || t.sha256 AS url,
                    '/v1/orders/' || t.order_id || '/attachments/' || t.sha256 || '?size=thumbnail' AS thumbnail_url
                    """,
                from: "dispatch.order_attachment t", condition: ofOrders, order: "t.observed_at, t.attachment_id",
                limit: 200),
            Part(
                name: "notices",
                columns: """
                    n.notice_id, n.office_id, n.office_name, n.recipient_name, n.purpose, n.round, n.state,
                    n.channel_kinds, n.created_at, n.first_attempt_at, n.delivered_at, n.acknowledged_at,
                    n.acknowledged_by, n.acknowledged_name, n.comment
                    """,
                from: "notification.api_notice n", condition: "n.case_id = \(caseID)",
                order: "n.created_at, n.notice_id", limit: 200),
            Part(
                name: "decisions",
                columns: """
                    decision_id, kind, what, order_id, report_id, inputs, rule_version, actor, decided_at,
                    json_build_object('code', reason_code, 'zh', reason_zh, 'en', reason_en) AS reason
                    """,
                from: "dispatch.decision", condition: "case_id = \(caseID) AND \(crew == nil)",
                order: "decided_at, decision_id", limit: 500),
            Part(
                name: "overdue_marks", columns: "clock, due_at, raised_at, withdrawn_at, withdrawn_reason",
                from: "dispatch.overdue_mark", condition: "case_id = \(caseID)", order: "raised_at, clock", limit: 200),
            Part(
                name: "timeline", columns: "at, fact, crew_id", from: "dispatch.api_case_timeline",
                condition: "case_id = \(caseID) AND (crew_id IS NULL OR \(own))", order: "at", limit: 500),
        ]
    }

    static func statements(_ caseID: Case.ID, crew: Crew.ID?) -> [SQL] { parts(caseID, crew: crew).map(\.statement) }
}
