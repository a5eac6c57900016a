import Postgres
import Rules

/// The statements on `dispatch.lane_signal`.
enum SignalStore {
    /// Milliseconds for which the oldest emergency has waited for a consumer that is named for it, in intake's, our own
    /// and notification's outboxes. The canary's count where they wait for dispatch, the controller of the lane; if they
    /// wait for notification alone, no routine work of anybody's has to give way for them.
    /// What the inbox has counts as arrived at once, though its row is marked so up to 250 ms later.
    static let oldestWaiting: SQL = """
        SELECT max(extract(epoch FROM clock_timestamp() - waiting.created_at) * 1000)::float8
        FROM (
            (SELECT e.created_at FROM intake.api_emergency_outbox e
             WHERE (\(inbox("dispatch", of: "intake"))) IS NULL
             ORDER BY e.event_id LIMIT 1)
            UNION ALL
            (SELECT e.created_at FROM dispatch.api_emergency_outbox e
             WHERE NOT e.canary AND (\(inbox("notification", of: "dispatch"))) IS NULL
             ORDER BY e.event_id LIMIT 1)
            UNION ALL
            (SELECT e.created_at FROM notification.api_emergency_outbox e
             WHERE (\(inbox("dispatch", of: "notification"))) IS NULL
             ORDER BY e.event_id LIMIT 1)
        ) waiting
        """

    private static func inbox(_ consumer: String, of source: String) -> SQL {
        """
        -- Not an EXISTS, which the planner may turn into one reading of the whole inbox.
        SELECT true FROM \(identifier: consumer).api_inbox i
        WHERE i.event_id = e.event_id AND i.consumer = \(consumer + ".emergency") AND i.source = \(source)
        LIMIT 1
        """
    }

    static func save(instance: String, pressure: Double, reading: LanePressure.Reading) -> SQL {
        """
        INSERT INTO dispatch.lane_signal AS s (instance, pressure, worst_ms, oldest_ms, canary_ms, measured_at)
        VALUES (
            \(instance), \(pressure), \(reading.worst), \(reading.oldestWaiting), \(reading.canary),
            clock_timestamp())
        ON CONFLICT (instance) DO UPDATE
        SET pressure = excluded.pressure, worst_ms = excluded.worst_ms, oldest_ms = excluded.oldest_ms,
            canary_ms = excluded.canary_ms, measured_at = excluded.measured_at
        """
    }

    static let forget: SQL = """
        DELETE FROM dispatch.lane_signal
        WHERE measured_at < clock_timestamp() - interval '1 day' AND instance <> 'sentinel'
        """
}
