import FoundationEssentials
import Model
import Outbox
import Postgres

/// The SQL of deliveries. A claim commits attempt and lease before anything is sent; a result counts under its lease.
enum DeliveryStore {
    /// Takes due deliveries of a lane, oldest first (by the statement's own time: no index can be searched by a clock that
    /// moves meanwhile), with all that the message needs. Free text of residents is read here
    /// and nowhere stored.
    static func claim(emergency: Bool, lease: UUID, seconds: Int, room: UnderWay.Room) -> SQL {
        """
        WITH due AS (
            SELECT d.delivery_id
            FROM notification.delivery d
            WHERE d.state = 'waiting' AND d.emergency = \(emergency) AND d.next_at <= statement_timestamp()
              AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())
              AND d.kind = ANY (\(room.kinds)::text[]) AND d.channel_id <> ALL (\(room.busy)::uuid[])
            ORDER BY d.next_at
            LIMIT \(room.limit)::int
            FOR UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE notification.delivery d
            SET attempt = d.attempt + 1, lease = \(lease),
                lease_until = clock_timestamp() + make_interval(secs => \(seconds)::int)
            FROM due WHERE d.delivery_id = due.delivery_id
            RETURNING d.*
        )
        SELECT t.delivery_id, t.attempt, t.kind, t.channel_id, c.address, c.secret,
               CASE WHEN c.previous_until > clock_timestamp() THEN c.previous_secret END AS previous_secret,
               r.language, r.name AS recipient_name, r.active AS on_duty, c.active AS switched_on, l.kid,
               l.expires_at AS link_expires_at,
               o.name_zh AS office_name_zh, o.name_en AS office_name_en, h.snapshot::text AS snapshot, n.reason,
               n.notice_id, n.case_id, n.district_id, n.street_id, n.office_id, n.recipient_id, n.emergency, n.purpose,
               n.round, n.state, n.version, n.created_at, n.first_attempt_at, n.acknowledged_at
        FROM taken t
        JOIN notification.notice n USING (notice_id)
        JOIN notification.channel c USING (channel_id)
        JOIN notification.recipient r ON r.recipient_id = n.recipient_id
        JOIN notification.case_held h ON h.case_id = n.case_id
        LEFT JOIN notification.office o ON o.office_id = n.office_id
        LEFT JOIN notification.link l ON l.notice_id = n.notice_id AND l.recipient_id = n.recipient_id
        ORDER BY t.delivery_id
        """
    }

    /// In the claim's transaction, for notices that are attempted for the first time.
    static func firstAttempt(_ notices: [UUID], at: Timestamp) -> SQL {
        """
        UPDATE notification.notice
        SET first_attempt_at = \(at), state = CASE WHEN state = 'pending' THEN 'attempted' ELSE state END,
            version = version + 1
        WHERE notice_id = ANY (\(notices)::uuid[]) AND first_attempt_at IS NULL
        """
    }

    static func log(
        _ delivery: UUID, district: District.ID, attempt: Int, started: Timestamp, ended: Timestamp, outcome: String,
        detail: String
    ) -> SQL {
        """
        INSERT INTO notification.delivery_attempt (
            delivery_id, district_id, attempt, started_at, ended_at, outcome, detail)
        VALUES (\(delivery), \(district), \(attempt)::int, \(started), \(ended), \(outcome), \(detail))
        ON CONFLICT DO NOTHING
        """
    }

    static func delivered(_ delivery: UUID, lease: UUID, notice: Notice.ID) -> [SQL] {
        [
            """
            UPDATE notification.delivery SET state = 'delivered', delivered_at = clock_timestamp(), lease = NULL
            WHERE delivery_id = \(delivery) AND lease = \(lease) AND state = 'waiting'
            """,
            """
            UPDATE notification.notice
            SET state = 'delivered', delivered_at = clock_timestamp(), version = version + 1
            WHERE notice_id = \(notice) AND state IN ('pending', 'attempted')
            """,
        ]
    }

    static func again(_ delivery: UUID, lease: UUID, pause: Duration) -> SQL {
        """
        UPDATE notification.delivery
        SET next_at = clock_timestamp() + make_interval(secs => \(pause.inSeconds)), lease = NULL, lease_until = NULL
        WHERE delivery_id = \(delivery) AND lease = \(lease) AND state = 'waiting'
        """
    }

    /// Given up. The notice has failed once none of its deliveries can succeed any more.
    static func failed(_ delivery: UUID, lease: UUID, notice: Notice.ID) -> [SQL] {
        [
            """
            UPDATE notification.delivery SET state = 'failed', lease = NULL
            WHERE delivery_id = \(delivery) AND lease = \(lease) AND state = 'waiting'
            """,
            """
            UPDATE notification.notice n SET state = 'failed', version = version + 1
            WHERE n.notice_id = \(notice) AND n.state IN ('pending', 'attempted')
              AND NOT EXISTS (SELECT FROM notification.delivery d
                              WHERE d.notice_id = n.notice_id AND d.state IN ('waiting', 'delivered'))
            """,
        ]
    }

    /// Takes back what waits for channels. A notice that can reach nobody now has failed, as dispatchers see; its time to
    /// acknowledge goes on, so that the second level is told.
    /// - Parameter channels: a query of their ids.
    static func takeBack(from channels: SQL) -> SQL {
        """
        WITH taken AS (
            UPDATE notification.delivery d SET state = 'withdrawn', lease = NULL
            WHERE d.state = 'waiting' AND d.channel_id = ANY (ARRAY (\(channels)))
            RETURNING d.notice_id, d.delivery_id
        )
        UPDATE notification.notice n SET state = 'failed', version = n.version + 1
        WHERE n.notice_id = ANY (ARRAY (SELECT notice_id FROM taken)) AND n.state IN ('pending', 'attempted')
          -- The statement sees its own deliveries as they were.
          AND NOT EXISTS (SELECT FROM notification.delivery d
                          WHERE d.notice_id = n.notice_id AND d.state IN ('waiting', 'delivered')
                            AND d.delivery_id <> ALL (ARRAY (SELECT delivery_id FROM taken)))
        """
    }

    /// Facts for a message: names of the places, and what the case is about.
    static func facts(_ caseID: Case.ID, district: District.ID) -> SQL {
        """
        SELECT (SELECT c.name_zh FROM dispatch.api_category c WHERE c.code = k.category LIMIT 1) AS category_zh,
               (SELECT c.name_en FROM dispatch.api_category c WHERE c.code = k.category LIMIT 1) AS category_en,
               (SELECT p.name_zh FROM gis.api_place p WHERE p.place_id = k.community_id) AS community_zh,
               (SELECT p.name_en FROM gis.api_place p WHERE p.place_id = k.community_id) AS community_en,
               (SELECT p.name_zh FROM gis.api_place p WHERE p.place_id = k.street_id) AS street_zh,
               (SELECT p.name_en FROM gis.api_place p WHERE p.place_id = k.street_id) AS street_en,
               k.number, k.report_count
        FROM dispatch.api_case k
        WHERE k.case_id = \(caseID) AND k.district_id = \(district)
        """
    }
}
