internal import FoundationEssentials
internal import Model
internal import Postgres
internal import ServiceLifecycle

/// Deletes inbox rows that are older than 90 days.
///
/// It goes along the inbox's own key, which begins with the event's id, and an id of version 7 with its time: what is
/// old stands in front, and no index has to be kept for this alone. It goes on where it ended, so that it does not walk
/// over what it deleted. Two kinds of rows are not found in this way, and are looked for now and then: events that came
/// late, whose place was passed before they were 90 days here; and keys that hold no time (what nobody could read is
/// known by its bytes). Nearly all of those lie beyond the ids of tomorrow; time reaches the others.
struct InboxPurge: Sendable {
    /// Stretches of the key.
    enum Stretch: Sendable {
        /// Events that are older than 90 days.
        case past
        /// Ids that no event has had yet.
        case beyond

        fileprivate var condition: SQL {
            switch self {
            case .past: "i.event_id < sluice.uuid_v7_floor(statement_timestamp() - interval '90 days')"
            case .beyond: "i.event_id >= sluice.uuid_v7_floor(statement_timestamp() + interval '1 day')"
            }
        }
    }

    let service: ServiceName
    let database: PostgresClient
    /// Where `goOn` ended.
    private let position = Mutexed(InboxPurge.first)

    /// Rows of one look: small, so that no transaction is long.
    private static let chunk = 5_000
    private static let first = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    init(service: ServiceName, database: PostgresClient) {
        self.service = service
        self.database = database
    }

    /// What has become old since the last time.
    func goOn() async throws {
        let reached = try await purge(.past, from: position.value)
        position.update { $0 = reached }
    }

    /// Everything.
    func beginAgain() async throws {
        _ = try await purge(.past, from: Self.first)
        _ = try await purge(.beyond, from: Self.first)
    }

    /// - Returns: where it ended.
    private func purge(_ stretch: Stretch, from start: UUID) async throws -> UUID {
        var position = start
        while !Task.isShuttingDownGracefully {
            let answers = try await database.segment([RoutineOutbox.pinnedPlans, look(at: stretch, from: position)])
            guard let row = answers[1].first else { break }
            position = try row.decode("last", as: UUID?.self) ?? position
            if try row.decode("looked", as: Int.self) < Self.chunk { break }
        }
        return position
    }

    /// Looks at so many rows in the key's order and deletes those of them that are old. Answers how many it looked at,
    /// and the last of them; the next look begins with that one, since an event may have several consumers.
    func look(at stretch: Stretch, from start: UUID) -> SQL {
        """
        WITH looked AS MATERIALIZED (
            SELECT i.event_id, i.consumer, i.source, i.received_at
            FROM \(identifier: service.schema).inbox i
            WHERE i.event_id >= \(start)::uuid AND \(stretch.condition)
            ORDER BY i.event_id
            LIMIT \(Self.chunk)::bigint
        ), gone AS (
            DELETE FROM \(identifier: service.schema).inbox i
            USING looked l
            WHERE i.event_id = l.event_id AND i.consumer = l.consumer AND i.source = l.source
              AND l.received_at < statement_timestamp() - interval '90 days'
        )
        SELECT count(*) AS looked, (SELECT m.event_id FROM looked m ORDER BY m.event_id DESC LIMIT 1) AS last
        FROM looked l
        """
    }
}
