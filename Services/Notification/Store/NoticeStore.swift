import FoundationEssentials
import Model
import Outbox
import Postgres

/// A notice on its way into the table, with what it sends.
struct NewNotice: Sendable {
    var id: Notice.ID
    var facts: CaseSnapshot
    var office: Office.ID?
    var recipient: Recipient.ID?
    var purpose: NoticePurpose
    var round: Int
    var state: NoticeState
    var createdAt: Timestamp
    var escalateAt: Timestamp?
    var reason: String
    var deliveries: [NewDelivery] = []
    var link: Link?
}

struct NewDelivery: Sendable {
    var id: UUID
    var channel: UUID
    var kind: String
}

/// What was last heard of a case, as it came.
struct HeldCase: Sendable {
    var facts: CaseSnapshot
    var json: [UInt8]
}

/// The SQL of notices. Batches go as arrays, so that a hundred cost one statement.
enum NoticeStore {
    static func held(_ cases: [UUID]) -> SQL {
        "SELECT snapshot::text AS snapshot FROM notification.case_held WHERE case_id = ANY (\(cases)::uuid[])"
    }

    static func hold(_ cases: [HeldCase]) -> SQL {
        """
        INSERT INTO notification.case_held AS h (case_id, version, district_id, snapshot)
        SELECT s.case_id, s.version, s.district_id, s.snapshot::jsonb
        FROM unnest(\(cases.map(\.facts.caseID.rawValue))::uuid[], \(cases.map(\.facts.version))::bigint[],
                    \(cases.map(\.facts.districtID.rawValue))::uuid[],
                    \(cases.map { String(decoding: $0.json, as: UTF8.self) })::text[])
             AS s (case_id, version, district_id, snapshot)
        ON CONFLICT (case_id) DO UPDATE SET version = excluded.version, snapshot = excluded.snapshot
        WHERE h.version < excluded.version
        """
    }

    /// What was told of cases so far, in order.
    static func told(_ cases: [UUID]) -> SQL {
        """
        SELECT notice_id, case_id, district_id, street_id, office_id, recipient_id, emergency, purpose, round, state,
               version, created_at, first_attempt_at, acknowledged_at
        FROM notification.notice
        WHERE case_id = ANY (\(cases)::uuid[]) AND purpose <> 'routine'
        ORDER BY notice_id
        FOR UPDATE
        """
    }

    /// Notices, deliveries and links.
    static func insert(_ notices: [NewNotice]) -> [SQL] {
        guard !notices.isEmpty else { return [] }
        var statements: [SQL] = [
            """
            INSERT INTO notification.notice (
                notice_id, case_id, district_id, street_id, office_id, recipient_id, emergency, purpose, round, state,
                case_opened_at, created_at, escalate_at, delivered_at, reason)
            SELECT n.notice_id, n.case_id, n.district_id, n.street_id, n.office_id, n.recipient_id, n.emergency, n.purpose,
                   n.round, n.state, n.case_opened_at, n.created_at, n.escalate_at,
                   CASE WHEN n.state = 'delivered' THEN n.created_at END, n.reason
            FROM unnest(\(notices.map(\.id.rawValue))::uuid[], \(notices.map(\.facts.caseID.rawValue))::uuid[],
                        \(notices.map(\.facts.districtID.rawValue))::uuid[],
                        \(notices.map { $0.facts.streetID?.rawValue })::uuid[],
                        \(notices.map { $0.office?.rawValue })::uuid[],
                        \(notices.map { $0.recipient?.rawValue })::uuid[], \(notices.map(\.facts.emergency))::boolean[],
                        \(notices.map(\.purpose.rawValue))::text[], \(notices.map(\.round))::smallint[],
                        \(notices.map(\.state.rawValue))::text[], \(notices.map(\.facts.openedAt))::timestamptz[],
                        \(notices.map(\.createdAt))::timestamptz[], \(notices.map(\.escalateAt))::timestamptz[],
                        \(notices.map(\.reason))::text[])
                 AS n (notice_id, case_id, district_id, street_id, office_id, recipient_id, emergency, purpose, round,
                       state, case_opened_at, created_at, escalate_at, reason)
            ON CONFLICT ON CONSTRAINT notice_once DO NOTHING
            """
        ]
        let deliveries = notices.flatMap { notice in notice.deliveries.map { (notice, $0) } }
        if !deliveries.isEmpty {
            statements.append(
                """
                INSERT INTO notification.delivery (delivery_id, notice_id, district_id, channel_id, kind, emergency)
                SELECT d.delivery_id, d.notice_id, n.district_id, d.channel_id, d.kind, n.emergency
                FROM unnest(\(deliveries.map(\.1.id))::uuid[], \(deliveries.map(\.0.id.rawValue))::uuid[],
                            \(deliveries.map(\.1.channel))::uuid[], \(deliveries.map(\.1.kind))::text[])
                     AS d (delivery_id, notice_id, channel_id, kind)
                JOIN notification.notice n USING (notice_id)
                ON CONFLICT DO NOTHING
                """)
        }
        let links = notices.compactMap { notice in notice.link.map { (notice, $0) } }
        if !links.isEmpty {
            statements.append(
                """
                INSERT INTO notification.link (kid, notice_id, recipient_id, link_district, purpose, expires_at)
                SELECT l.kid, l.notice_id, l.recipient_id, n.district_id, 'acknowledge', l.expires_at
                FROM unnest(\(links.map(\.1.kid))::text[], \(links.map(\.1.notice.rawValue))::uuid[],
                            \(links.map(\.1.recipient.rawValue))::uuid[], \(links.map(\.1.expiresAt))::timestamptz[])
                     AS l (kid, notice_id, recipient_id, expires_at)
                JOIN notification.notice n USING (notice_id)
                ON CONFLICT DO NOTHING
                """)
        }
        return statements
    }

    /// Ends notices: nothing more is sent for them, nobody is escalated to, their links show that it is over.
    static func withdraw(_ notices: [UUID]) -> [SQL] {
        guard !notices.isEmpty else { return [] }
        return [
            """
            UPDATE notification.notice
            SET state = CASE WHEN state = 'acknowledged' THEN state ELSE 'withdrawn' END, escalate_at = NULL,
                version = version + 1
            WHERE notice_id = ANY (\(notices)::uuid[])
            """,
            """
            UPDATE notification.delivery SET state = 'withdrawn', lease = NULL
            WHERE notice_id = ANY (\(notices)::uuid[]) AND state = 'waiting'
            """,
            """
            UPDATE notification.link SET withdrawn_at = clock_timestamp()
            WHERE notice_id = ANY (\(notices)::uuid[]) AND withdrawn_at IS NULL
            """,
        ]
    }

    /// First-level notices whose time to acknowledge is over, with their case as last heard of.
    static func toEscalate(limit: Int) -> SQL {
        """
        SELECT n.notice_id, n.case_id, n.district_id, n.street_id, n.office_id, n.recipient_id, n.emergency, n.purpose,
               n.round, n.state, n.version, n.created_at, n.first_attempt_at, n.acknowledged_at,
               h.snapshot::text AS snapshot
        FROM notification.notice n
        JOIN notification.case_held h USING (case_id)
        WHERE n.escalate_at <= statement_timestamp()
        ORDER BY n.escalate_at
        LIMIT \(limit)::int
        FOR UPDATE OF n SKIP LOCKED
        """
    }

    static func escalated(_ notices: [UUID]) -> SQL {
        """
        UPDATE notification.notice SET state = 'escalated', escalate_at = NULL, version = version + 1
        WHERE notice_id = ANY (\(notices)::uuid[])
        """
    }

    /// Acknowledging one notice of a round acknowledges it for the office: nobody else needs to be woken.
    static func acknowledge(_ notice: Notice.ID, by: String, name: String, at: Timestamp) -> SQL {
        """
        UPDATE notification.notice n
        SET state = 'acknowledged', acknowledged_at = coalesce(n.acknowledged_at, \(at)),
            acknowledged_by = coalesce(n.acknowledged_by, \(by)),
            acknowledged_name = coalesce(n.acknowledged_name, \(name)), escalate_at = NULL, version = n.version + 1
        WHERE n.notice_id = \(notice) AND n.state <> 'acknowledged'
        RETURNING n.version
        """
    }

    /// The other open notices of the same case need no answer any more; those of later rounds do, of which the one that
    /// was acknowledged says nothing.
    static func calm(case id: Case.ID, upTo round: Int) -> SQL {
        """
        UPDATE notification.notice SET escalate_at = NULL, version = version + 1
        WHERE case_id = \(id) AND round <= \(round)::int AND escalate_at IS NOT NULL
        """
    }

    static func lock(_ notice: Notice.ID) -> SQL {
        """
        SELECT notice_id, case_id, district_id, street_id, office_id, recipient_id, emergency, purpose, round, state,
               version, created_at, first_attempt_at, acknowledged_at, acknowledged_by
        FROM notification.notice WHERE notice_id = \(notice) FOR UPDATE
        """
    }

    static func comment(
        _ id: UUID, notice: NoticeRecord, author: String, authorName: String, body: String
    ) -> SQL {
        """
        INSERT INTO notification.comment (comment_id, notice_id, case_id, district_id, author, author_name, body)
        VALUES (\(id), \(notice.id), \(notice.caseID), \(notice.district), \(author), \(authorName), \(body))
        """
    }

    static func findLink(_ kid: String) -> SQL {
        """
        SELECT notice_id, recipient_id, link_district, expires_at, withdrawn_at FROM notification.find_link(\(kid))
        """
    }
}

/// A notice as the table has it.
struct NoticeRecord: Sendable, Hashable {
    var id: Notice.ID
    var caseID: Case.ID
    var district: District.ID
    var street: Street.ID?
    var office: Office.ID?
    var recipient: Recipient.ID?
    var emergency: Bool
    var purpose: NoticePurpose
    var round: Int
    var state: NoticeState
    var version: Int
    var createdAt: Timestamp
    var firstAttemptAt: Timestamp?
    var acknowledgedAt: Timestamp?

    init(_ row: Row) throws {
        id = try row.decode("notice_id")
        caseID = try row.decode("case_id")
        district = try row.decode("district_id")
        street = try row.decode("street_id", as: Street.ID?.self)
        office = try row.decode("office_id", as: Office.ID?.self)
        recipient = try row.decode("recipient_id", as: Recipient.ID?.self)
        emergency = try row.decode("emergency")
        purpose = try row.decode("purpose")
        round = try row.decode("round")
        state = try row.decode("state")
        version = try row.decode("version")
        createdAt = try row.decode("created_at")
        firstAttemptAt = try row.decode("first_attempt_at", as: Timestamp?.self)
        acknowledgedAt = try row.decode("acknowledged_at", as: Timestamp?.self)
    }

    /// The fact to announce, with the state as changed by the caller.
    func snapshot(acknowledgedBy: String? = nil) -> NoticeSnapshot {
        NoticeSnapshot(
            noticeID: id, version: version, caseID: caseID, districtID: district, streetID: street, officeID: office,
            emergency: emergency, purpose: purpose, round: round, state: state, createdAt: createdAt,
            firstAttemptAt: firstAttemptAt, acknowledgedAt: acknowledgedAt, acknowledgedBy: acknowledgedBy)
    }
}
