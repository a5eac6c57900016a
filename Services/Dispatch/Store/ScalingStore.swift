import Postgres

enum ScalingStore {
    /// Counted only up to a bound, so that the question never costs more than a moment.
    static let look: SQL = """
        SELECT (SELECT count(*) FROM (SELECT FROM dispatch.claim_queue WHERE NOT canary LIMIT 50000) q)::integer
               + (SELECT count(*) FROM (SELECT FROM dispatch.retry LIMIT 50000) r)::integer AS waiting,
               (SELECT setting::integer * 8 / 10 FROM pg_settings WHERE name = 'max_connections')
               - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::integer AS free,
               (SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'sluice\\_dispatch\\_%')::integer AS own,
               coalesce((SELECT max(pressure) FROM dispatch.lane_signal
                         WHERE measured_at > clock_timestamp() - interval '2 seconds'), 0.5)::float8 AS pressure
        """
}
