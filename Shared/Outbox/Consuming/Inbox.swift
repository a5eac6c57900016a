internal import FoundationEssentials
internal import Model
internal import Postgres

/// The statements of a consumer's inbox, retry and dead-letter tables.
struct Inbox: Sendable {
    let service: ServiceName
    /// As CONTRACTS.md names it: `dispatch.emergency`.
    let consumer: String
    /// Of this software, kept with each dead letter.
    let version: String
    var schema: String { service.schema }

    /// The name of the key that an error must name to mean "already done".
    static let constraint = "inbox_key"

    /// How rivals over the same event on the lane's two paths are told apart.
    enum EventLocks: Sendable {
        /// One path only: the inbox key decides.
        case none
        /// Waits for a rival, since the broker must get its acknowledgement.
        case wait
        /// Leaves the event to the rival.
        case skip
    }

    // MARK: - Done

    /// For a segment: error 23505 on `inbox_key` aborts it and means "already done".
    func insert(_ key: InboxKey) -> SQL {
        """
        INSERT INTO \(identifier: schema).inbox (consumer, source, event_id)
        VALUES (\(consumer), \(key.source), \(key.eventID))
        """
    }

    /// For a batch: answers (source, event_id) of those that are new. The keys must be sorted.
    func insertNew(_ keys: [InboxKey], locks: EventLocks) -> SQL {
        var taken: SQL = ""
        switch locks {
        case .none: break
        case .wait: taken = "WHERE pg_advisory_xact_lock(m.lock) IS NOT NULL"
        case .skip: taken = "WHERE pg_try_advisory_xact_lock(m.lock)"
        }
        return """
            INSERT INTO \(identifier: schema).inbox (consumer, source, event_id)
            SELECT \(consumer)::text, m.source, m.event_id
            FROM unnest(
                \(keys.map(\.source))::text[], \(keys.map(\.eventID)),
                \(keys.map { AdvisoryLock.event($0.eventID).key })) AS m (source, event_id, lock)
            \(taken)
            ON CONFLICT DO NOTHING
            RETURNING source, event_id
            """
    }

    /// Takes back what this transaction has just inserted, for events whose locks it did not get.
    func forget(_ keys: [InboxKey]) -> SQL {
        """
        DELETE FROM \(identifier: schema).inbox i
        USING \(list(keys))
        WHERE i.consumer = \(consumer) AND i.event_id = m.event_id AND i.source = m.source
        """
    }

    // MARK: - Parked

    /// Due a second from now. Nothing if it is parked already.
    func park(_ message: Message, failure: String) -> SQL {
        """
        INSERT INTO \(identifier: schema).retry (consumer, source, event_id, type, body, failure, next_at)
        VALUES (\(consumer), \(message.key.source), \(message.key.eventID), \(message.type as String?), \(message.body),
                \(failure), clock_timestamp() + interval '1 second')
        ON CONFLICT DO NOTHING
        """
    }

    /// Takes due rows. The statement's own time, since no index can be searched by a clock that moves meanwhile. The next try's time, 2 s doubling to 5 minutes, is also the lease that keeps others off.
    func claimDue(limit: Int) -> SQL {
        """
        UPDATE \(identifier: schema).retry r
        SET attempt = r.attempt + 1,
            next_at = clock_timestamp()
                + least(interval '5 minutes', interval '2 seconds' * power(2, least(r.attempt, 10)))
        FROM (
            SELECT d.source, d.event_id FROM \(identifier: schema).retry d
            WHERE d.consumer = \(consumer) AND d.next_at <= statement_timestamp()
            ORDER BY d.next_at
            LIMIT \(limit)::bigint
            FOR UPDATE SKIP LOCKED
        ) due
        WHERE r.consumer = \(consumer) AND r.event_id = due.event_id AND r.source = due.source
        RETURNING r.source, r.event_id, r.type, r.body, r.attempt
        """
    }

    func failedAgain(_ key: InboxKey, failure: String) -> SQL {
        """
        UPDATE \(identifier: schema).retry r SET failure = \(failure)
        WHERE r.consumer = \(consumer) AND r.event_id = \(key.eventID) AND r.source = \(key.source)
        """
    }

    /// Removes the record of earlier tries, in the transaction of the success.
    func forgetTries(of keys: [InboxKey]) -> [SQL] {
        ["retry", "lane_attempt"].map { table in
            """
            DELETE FROM \(identifier: schema).\(identifier: table) r
            USING \(list(keys))
            WHERE r.consumer = \(consumer) AND r.event_id = m.event_id AND r.source = m.source
            """
        }
    }

    // MARK: - Dead

    /// Inbox row and dead letter, if the message was not done before. In front of what the handler writes about it.
    func bury(_ message: Message, reason: String) -> SQL {
        """
        WITH done AS (
            INSERT INTO \(identifier: schema).inbox (consumer, source, event_id)
            VALUES (\(consumer), \(message.key.source), \(message.key.eventID))
            ON CONFLICT DO NOTHING
            RETURNING consumer, source, event_id
        )
        INSERT INTO \(identifier: schema).dead_letter
            (consumer, source, event_id, type, district_id, body, reason, version)
        SELECT d.consumer, d.source, d.event_id, \(message.type as String?)::text, \(message.event?.district.rawValue as UUID?)::uuid,
               \(message.body)::bytea, \(reason)::text, \(version)::text
        FROM done d
        ON CONFLICT DO NOTHING
        RETURNING id
        """
    }

    func list(_ keys: [InboxKey]) -> SQL {
        """
        unnest(\(keys.map(\.source))::text[], \(keys.map(\.eventID))) AS m (source, event_id)
        """
    }
}
