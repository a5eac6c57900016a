internal import FoundationEssentials
internal import Postgres

/// The record of emergencies that failed. A try is committed here before it begins, so that an event that kills its
/// process is counted as well; both ways of the lane read it.
struct LaneAttempts: Sendable {
    let inbox: Inbox
    let database: PostgresClient
    let holder = UUID()
    private var schema: String { inbox.schema }
    private var task: String { "lane \(inbox.consumer)" }

    /// From this many tries on, one instance handles such events one at a time beside the others.
    static let apartFrom = 5
    /// After this many it becomes a dead letter, with an alarm.
    static let last = 20

    /// Counts a try for each key that is due, and answers how many it has had. Keys that are not due are not answered.
    /// Back-off: 50 ms doubling to 5 s.
    func begin(_ keys: [InboxKey]) async throws -> [InboxKey: Int] {
        let rows = try await database.query(
            """
            INSERT INTO \(identifier: schema).lane_attempt AS a
                (consumer, source, event_id, n, not_before, failure)
            SELECT \(inbox.consumer)::text, m.source, m.event_id, 1,
                   clock_timestamp() + interval '50 milliseconds', 'begun'
            FROM \(inbox.list(keys.sorted()))
            ON CONFLICT (event_id, consumer, source) DO UPDATE
            SET n = a.n + 1,
                not_before = clock_timestamp()
                    + least(interval '5 seconds', interval '50 milliseconds' * power(2, least(a.n, 7)))
            WHERE a.not_before <= clock_timestamp()
            RETURNING source, event_id, n
            """)
        return Dictionary(
            try rows.map { (try InboxKey(row: $0), try $0.decode("n", as: Int.self)) }, uniquingKeysWith: { $1 })
    }

    /// What a try came to, if it came to nothing. A database that does not work is no event's fault.
    func note(_ fate: Fate, of key: InboxKey) async {
        switch fate {
        case .failed(let reason, let isBlameless): try? await failed(key, reason: reason, isBlameless: isBlameless)
        case .unreachable: try? await failed(key, reason: "the database did not work", isBlameless: true)
        case .settled, .deferred: break
        }
    }

    /// One that was not the event's fault is taken back.
    private func failed(_ key: InboxKey, reason: String, isBlameless: Bool) async throws {
        _ = try await database.query(
            """
            UPDATE \(identifier: schema).lane_attempt a
            SET failure = \(reason), n = greatest(0, a.n - \(isBlameless ? 1 : 0)::integer)
            WHERE a.consumer = \(inbox.consumer) AND a.event_id = \(key.eventID) AND a.source = \(key.source)
            """)
    }

    /// Whether this instance is the one that handles the events that have failed often. Held for two seconds.
    func mayHandleApart() async throws -> Bool {
        let rows = try await database.query(
            """
            INSERT INTO \(identifier: schema).task_lease AS l (task, holder, until)
            VALUES (\(task), \(holder), clock_timestamp() + interval '2 seconds')
            ON CONFLICT (task) DO UPDATE SET holder = excluded.holder, until = excluded.until
            WHERE l.holder = excluded.holder OR l.until < clock_timestamp()
            RETURNING holder
            """)
        return !rows.isEmpty
    }
}
