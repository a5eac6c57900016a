import Model
import Postgres

/// The statements that record and announce, for one schema.
struct AnnouncementStatements: Sendable {
    let schema: String

    /// At most one statement a lane, whatever the number of announcements.
    func statements(for announcements: [Announcement]) -> [SQL] {
        let routine = announcements.filter { $0.event.lane == .routine }
        let emergency = announcements.filter { $0.event.lane == .emergency }
        var statements: [SQL] = []
        if !emergency.isEmpty { statements.append(insertEmergency(emergency)) }
        if !routine.isEmpty { statements.append(insertRoutine(routine)) }
        return statements
    }

    private func insertRoutine(_ announcements: [Announcement]) -> SQL {
        """
        WITH \(records(announcements)), \(recorded)
        INSERT INTO \(identifier: schema).outbox (slot, id, district_id)
        SELECT t.slot, e.id, e.district_id
        FROM event e CROSS JOIN \(identifier: schema).outbox_turn t
        """
    }

    /// What nobody is named for (a map fact, say) waits for the broker alone.
    private func insertEmergency(_ announcements: [Announcement]) -> SQL {
        """
        WITH \(records(announcements)), \(recorded)
        INSERT INTO \(identifier: schema).emergency_outbox
            (id, district_id, type, canary, consumers, body, consumed_at)
        SELECT e.id, e.district_id, e.type, e.canary, e.consumers, e.message,
               CASE WHEN e.consumers = '{}' THEN clock_timestamp() END
        FROM event e
        """
    }

    private func records(_ announcements: [Announcement]) -> SQL {
        """
        event AS MATERIALIZED (
            SELECT *
            FROM jsonb_to_recordset(\(AnnouncementRecords.json(announcements))::jsonb) AS e (
                id uuid, aggregate text, aggregate_id uuid, version bigint, type text, district_id uuid, lane text,
                canary boolean, actor text, occurred_at timestamptz, observed_at timestamptz,
                received_at timestamptz, causation_id uuid, traceparent text, consumers text[], message text,
                body jsonb)
        )
        """
    }

    private var recorded: SQL {
        """
        recorded AS (
            INSERT INTO \(identifier: schema).history (
                id, aggregate, aggregate_id, version, type, district_id, lane, canary, actor, occurred_at,
                observed_at, received_at, causation_id, traceparent, body)
            SELECT id, aggregate, aggregate_id, version, type, district_id, lane, canary, actor, occurred_at,
                   observed_at, received_at, causation_id, traceparent, body
            FROM event
        )
        """
    }
}
