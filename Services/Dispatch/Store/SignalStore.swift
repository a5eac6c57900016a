import Postgres

/// The statements on `dispatch.lane_signal`.
enum SignalStore {
    /// Milliseconds for which the oldest emergency has waited for a consumer that is named for it, in intake's, our own
    /// and notification's outboxes.
    static let oldestWaiting: SQL = """
        SELECT max(extract(epoch FROM clock_timestamp() - waiting.created_at) * 1000)::float8
        FROM (
            (SELECT created_at FROM intake.api_emergency_outbox ORDER BY event_id LIMIT 1)
            UNION ALL
            (SELECT created_at FROM dispatch.api_emergency_outbox ORDER BY event_id LIMIT 1)
            UNION ALL
            (SELECT created_at FROM notification.api_emergency_outbox ORDER BY event_id LIMIT 1)
        ) waiting
        """

    static func save(instance: String, pressure: Double, worst: Double, oldest: Double) -> SQL {
        """
        INSERT INTO dispatch.lane_signal AS s (instance, pressure, worst_ms, oldest_ms, measured_at)
        VALUES (\(instance), \(pressure), \(worst), \(oldest), clock_timestamp())
        ON CONFLICT (instance) DO UPDATE
        SET pressure = excluded.pressure, worst_ms = excluded.worst_ms, oldest_ms = excluded.oldest_ms,
            measured_at = excluded.measured_at
        """
    }

    static let forget: SQL = """
        DELETE FROM dispatch.lane_signal
        WHERE measured_at < clock_timestamp() - interval '1 day' AND instance <> 'sentinel'
        """
}
