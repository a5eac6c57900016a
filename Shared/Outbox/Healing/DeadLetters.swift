public import FoundationEssentials
public import Model
public import Postgres

/// The dead letters of one service, for the person who looks after them (`sluicectl dead list|retry|discard`).
public struct DeadLetters: Sendable {
    public let service: ServiceName
    private let database: PostgresClient
    private var schema: String { service.schema }

    /// - Parameter database: of a role that may write the service's messaging tables.
    public init(service: ServiceName, database: PostgresClient) {
        self.service = service
        self.database = database
    }

    public struct Letter: Sendable, Hashable {
        public var id: UUID
        public var consumer: String
        public var source: String
        public var eventID: UUID
        public var type: String?
        public var district: District.ID?
        public var body: [UInt8]
        public var reason: String
        public var version: String
        public var deadAt: Timestamp
    }

    /// Newest first; discarded ones are left out.
    ///
    /// - Parameter before: the last of the page before.
    public func list(limit: Int = 50, before: UUID? = nil) async throws -> [Letter] {
        try await database.query(
            """
            SELECT d.id, d.consumer, d.source, d.event_id, d.type, d.district_id, d.body, d.reason, d.version, d.dead_at
            FROM \(identifier: schema).dead_letter d
            WHERE d.discarded_at IS NULL AND (\(before as UUID?)::uuid IS NULL OR d.id < \(before as UUID?)::uuid)
            ORDER BY d.id DESC
            LIMIT \(limit)::bigint
            """
        ).map {
            Letter(
                id: try $0.decode("id"), consumer: try $0.decode("consumer"), source: try $0.decode("source"),
                eventID: try $0.decode("event_id"), type: try $0.decode("type"),
                district: try $0.decode("district_id", as: UUID?.self).map { District.ID($0) },
                body: try $0.decode("body"), reason: try $0.decode("reason"), version: try $0.decode("version"),
                deadAt: try $0.decode("dead_at"))
        }
    }

    /// Turns inbox row and dead letter into a parked message that is due now, and forgets the failed tries.
    ///
    /// - Returns: false if there is no such letter (any more).
    public func retry(_ id: UUID) async throws -> Bool {
        try await database.query(
            """
            WITH letter AS (
                DELETE FROM \(identifier: schema).dead_letter d
                WHERE d.id = \(id) AND d.discarded_at IS NULL
                RETURNING d.consumer, d.source, d.event_id, d.type, d.body
            ), done AS (
                DELETE FROM \(identifier: schema).inbox i USING letter l
                WHERE i.event_id = l.event_id AND i.consumer = l.consumer AND i.source = l.source
            ), tries AS (
                DELETE FROM \(identifier: schema).lane_attempt a USING letter l
                WHERE a.event_id = l.event_id AND a.consumer = l.consumer AND a.source = l.source
            )
            INSERT INTO \(identifier: schema).retry (consumer, source, event_id, type, body, failure)
            SELECT consumer, source, event_id, type, body, 'retried by a person' FROM letter
            ON CONFLICT DO NOTHING
            RETURNING event_id
            """
        ).isEmpty == false
    }

    /// Sets the letter aside for good; its row stays, with who did it.
    ///
    /// - Returns: false if there is no such letter (any more).
    public func discard(_ id: UUID, by account: String) async throws -> Bool {
        try await database.query(
            """
            UPDATE \(identifier: schema).dead_letter d
            SET discarded_at = clock_timestamp(), discarded_by = \(account)
            WHERE d.id = \(id) AND d.discarded_at IS NULL
            RETURNING d.id
            """
        ).isEmpty == false
    }
}
