import FoundationEssentials
import Model
import Outbox
import Postgres

/// Everything that is known about one case, as JSON that the database itself puts together: each part is one text, ready
/// to be shown.
enum CaseDetail {
    /// In the order of `statements`.
    static let parts = [
        "reports", "photos", "orders", "steps", "order_photos", "notices", "decisions", "overdue_marks", "timeline",
    ]

    static func statements(_ caseID: Case.ID, crew: Crew.ID?) -> [SQL] {
        // A crew sees its own orders, steps and photos, and nobody's decisions about other crews.
        let own: SQL = crew.map { "crew_id = \($0)" } ?? "true"
        let crewIsOwn: SQL = crew.map { "t.crew_id = \($0)" } ?? "true"
        return [
            """
            SELECT coalesce(json_agg(row_to_json(r)), '[]'::json)::text FROM (
                SELECT s.report_id, s.filed_case_id, s.reason, s.decided_at, s.channel, s.kind, s.category, s.emergency,
                       s.severity, s.verified, s.lon, s.lat, s.observed_at, s.received_at, r.address, r.description,
                       r.rule_version, r.rule_reason
                FROM dispatch.report_state s
                LEFT JOIN intake.api_report r ON r.report_id = s.report_id AND r.district_id = s.district_id
                WHERE s.case_id = \(caseID)
                ORDER BY s.received_at, s.report_id
                LIMIT 200
            ) r
            """,
            """
            SELECT coalesce(json_agg(row_to_json(p)), '[]'::json)::text FROM (
                SELECT a.report_id, a.sha256, a.content_type, a.width, a.height, a.bytes, a.taken_at, a.position,
                       a.thumbnail_sha256, '/v1/attachments/' || a.sha256 AS url,
                       '/v1/attachments/' || a.sha256 || '?size=thumbnail' AS thumbnail_url
                FROM dispatch.report_state s
                JOIN intake.api_attachment a ON a.report_id = s.report_id AND a.district_id = s.district_id
                WHERE s.case_id = \(caseID)
                ORDER BY s.received_at, a.report_id, a.position
                LIMIT 200
            ) p
            """,
            """
            SELECT coalesce(json_agg(row_to_json(o)), '[]'::json)::text FROM (
                SELECT order_id, crew_id, crew_name, emergency, severity, state, assigned_at, accepted_at, en_route_at,
                       on_site_at, done_at, released_at, assigned_by, notes, version,
                       json_build_object('code', reason_code, 'zh', reason_zh, 'en', reason_en) AS reason
                FROM dispatch.work_order
                WHERE case_id = \(caseID) AND \(own)
                ORDER BY assigned_at, order_id
                LIMIT 200
            ) o
            """,
            """
            SELECT coalesce(json_agg(row_to_json(t)), '[]'::json)::text FROM (
                SELECT t.step_id, t.order_id, t.crew_id, t.kind, t.observed_at, t.received_at, t.counted_at, t.counted,
                       t.counted_reason, t.offset_ms, t.based_on, t.outcome, t.note, t.photos, t.lon, t.lat,
                       json_build_object('code', t.outcome_code, 'zh', t.outcome_zh, 'en', t.outcome_en) AS reason
                FROM dispatch.order_step t
                WHERE t.order_id IN (SELECT order_id FROM dispatch.work_order WHERE case_id = \(caseID)) AND (\(crewIsOwn))
                ORDER BY t.received_at, t.step_id
                LIMIT 500
            ) t
            """,
            """
            SELECT coalesce(json_agg(row_to_json(p)), '[]'::json)::text FROM (
                SELECT t.attachment_id AS id, t.order_id, t.crew_id, t.kind, t.sha256, t.thumbnail_sha256,
                       t.source_sha256, t.content_type, t.bytes, t.width, t.height, t.observed_at, t.received_at,
                       t.taken_at, t.lon, t.lat,
                       '/v1/orders/' || t.order_id || '/attachments/' || t.sha256 AS url,
                       '/v1/orders/' || t.order_id || '/attachments/' || t.sha256 || '?size=thumbnail' AS thumbnail_url
                FROM dispatch.order_attachment t
                WHERE t.order_id IN (SELECT order_id FROM dispatch.work_order WHERE case_id = \(caseID)) AND (\(crewIsOwn))
                ORDER BY t.observed_at, t.attachment_id
                LIMIT 200
            ) p
            """,
            """
            SELECT coalesce(json_agg(row_to_json(n)), '[]'::json)::text FROM (
                SELECT n.notice_id, n.office_id, n.office_name, n.recipient_name, n.purpose, n.round, n.state,
                       n.channel_kinds, n.created_at, n.first_attempt_at, n.delivered_at, n.acknowledged_at,
                       n.acknowledged_by, n.acknowledged_name, n.comment
                FROM notification.api_notice n
                WHERE n.case_id = \(caseID)
                ORDER BY n.created_at, n.notice_id
                LIMIT 200
            ) n
            """,
            """
            SELECT coalesce(json_agg(row_to_json(d)), '[]'::json)::text FROM (
                SELECT decision_id, kind, what, order_id, report_id, inputs, rule_version, actor, decided_at,
                       json_build_object('code', reason_code, 'zh', reason_zh, 'en', reason_en) AS reason
                FROM dispatch.decision
                WHERE case_id = \(caseID) AND \(crew == nil)
                ORDER BY decided_at, decision_id
                LIMIT 500
            ) d
            """,
            """
            SELECT coalesce(json_agg(row_to_json(m)), '[]'::json)::text FROM (
                SELECT clock, due_at, raised_at, withdrawn_at, withdrawn_reason
                FROM dispatch.overdue_mark
                WHERE case_id = \(caseID)
                ORDER BY raised_at, clock
            ) m
            """,
            """
            SELECT coalesce(json_agg(row_to_json(f)), '[]'::json)::text FROM (
                SELECT at, fact, crew_id
                FROM dispatch.api_case_timeline
                WHERE case_id = \(caseID) AND (crew_id IS NULL OR \(own))
                ORDER BY at
                LIMIT 500
            ) f
            """,
        ]
    }
}
