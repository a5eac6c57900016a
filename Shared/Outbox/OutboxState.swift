public import Model
public import Postgres

/// How much waits to be sent, and for how long.
public struct OutboxState: Sendable, Hashable {
    public struct District: Sendable, Hashable {
        public var district: Model.District.ID
        /// Rows not confirmed; counted up to ``OutboxState/countedTo``.
        public var depth: Int
        /// Age of the oldest of them in seconds.
        public var oldest: Double
    }

    /// Routine rows that wait or are under way, counted up to this many a district.
    public static let countedTo = 10_000

    public var districts: [District]
    /// Emergencies not yet confirmed by the broker.
    public var emergenciesUnconfirmed: Int
    /// Emergencies that a named inbox lacks.
    public var emergenciesLacking: Int
    /// Age in seconds of the oldest emergency that a named inbox lacks; 0 for none. Part of the lane's signal.
    public var oldestLacking: Double
    /// Rows that the broker itself refused or that cannot be read, and why the latest was refused.
    public var refused: Int
    public var lastRefusal: String?
    public var parked: Int
    public var dead: Int
    /// How full the server's queue of notifications is, 0 to 1: a session that listens and stays in a transaction fills it.
    public var hintQueue: Double

    public var depth: Int { districts.reduce(0) { $0 + $1.depth } }
    public var oldest: Double { districts.map(\.oldest).max() ?? 0 }

    /// Looks at the tables of a service. What it costs is bounded whatever the backlog.
    public static func look(at service: ServiceName, in database: PostgresClient) async throws -> OutboxState {
        let schema = service.schema
        let answers = try await database.segment([
            RoutineOutbox.pinnedPlans,
            """
            WITH RECURSIVE waiting AS (
                (SELECT o.district_id FROM \(identifier: schema).outbox o
                 WHERE o.attempt = 0 ORDER BY o.district_id LIMIT 1)
                UNION ALL
                SELECT (SELECT o.district_id FROM \(identifier: schema).outbox o
                        WHERE o.attempt = 0 AND o.district_id > w.district_id ORDER BY o.district_id LIMIT 1)
                FROM waiting w WHERE w.district_id IS NOT NULL
            )
            SELECT w.district_id, c.depth,
                   greatest(0, extract(epoch FROM clock_timestamp() - sluice.uuid_v7_time(f.id)))::float8 AS oldest
            FROM waiting w
            CROSS JOIN LATERAL (
                SELECT o.id FROM \(identifier: schema).outbox o
                WHERE o.attempt = 0 AND o.district_id = w.district_id ORDER BY o.id LIMIT 1
            ) f
            CROSS JOIN LATERAL (
                SELECT count(*) AS depth FROM (
                    SELECT FROM \(identifier: schema).outbox o
                    WHERE o.attempt = 0 AND o.district_id = w.district_id
                    LIMIT \(Self.countedTo)::bigint) counted
            ) c
            WHERE w.district_id IS NOT NULL
            """,
            """
            SELECT count(*) FILTER (WHERE e.confirmed_at IS NULL) AS unconfirmed,
                   count(*) FILTER (WHERE e.consumed_at IS NULL) AS lacking,
                   coalesce(extract(epoch FROM clock_timestamp()
                       - min(e.created_at) FILTER (WHERE e.consumed_at IS NULL)), 0)::float8 AS oldest
            FROM (SELECT * FROM \(identifier: schema).emergency_outbox LIMIT 10000) e
            """,
            """
            SELECT count(*) AS refused, (array_agg(o.refusal ORDER BY o.lease_until DESC))[1] AS refusal
            FROM (SELECT * FROM \(identifier: schema).outbox WHERE attempt > 0 ORDER BY lease_until LIMIT 10000) o
            WHERE o.refused > 0
            """,
            """
            SELECT (SELECT count(*) FROM (SELECT FROM \(identifier: schema).retry LIMIT 10000) r) AS parked,
                   (SELECT count(*) FROM (
                       SELECT FROM \(identifier: schema).dead_letter WHERE discarded_at IS NULL LIMIT 10000) d) AS dead,
                   pg_notification_queue_usage() AS hints
            """,
        ])
        guard let lane = answers[2].first, let refusals = answers[3].first, let failures = answers[4].first else {
            throw PostgresError(.decoding, "an aggregate answered no row")
        }
        return OutboxState(
            districts: try answers[1].map {
                District(
                    district: try $0.decode("district_id"), depth: try $0.decode("depth"),
                    oldest: try $0.decode("oldest"))
            },
            emergenciesUnconfirmed: try lane.decode("unconfirmed"), emergenciesLacking: try lane.decode("lacking"),
            oldestLacking: try lane.decode("oldest"), refused: try refusals.decode("refused"),
            lastRefusal: try refusals.decode("refusal"), parked: try failures.decode("parked"),
            dead: try failures.decode("dead"), hintQueue: try failures.decode("hints"))
    }
}
