internal import FoundationEssentials
internal import Model
internal import Postgres

/// The statements of the lane's own outbox.
struct EmergencyOutbox: Sendable {
    let service: ServiceName
    private var schema: String { service.schema }

    func claimUnsent(limit: Int, lease: UUID, for duration: Duration) -> SQL {
        claim(
            """
            SELECT o.id FROM \(identifier: schema).emergency_outbox o
            WHERE o.attempt = 0
            ORDER BY o.id
            LIMIT \(limit)::bigint
            FOR UPDATE SKIP LOCKED
            """, lease: lease, duration: duration)
    }

    func claimExpired(limit: Int, lease: UUID, for duration: Duration) -> SQL {
        claim(
            """
            SELECT o.id FROM \(identifier: schema).emergency_outbox o
            WHERE o.attempt > 0 AND o.confirmed_at IS NULL AND o.lease_until < statement_timestamp()
            ORDER BY o.lease_until
            LIMIT \(limit)::bigint
            FOR UPDATE SKIP LOCKED
            """, lease: lease, duration: duration)
    }

    private func claim(_ picked: SQL, lease: UUID, duration: Duration) -> SQL {
        """
        UPDATE \(identifier: schema).emergency_outbox o
        SET attempt = o.attempt + 1, lease = \(lease), lease_until = clock_timestamp() + \(duration)
        WHERE o.id = ANY (ARRAY(\(picked)))
        RETURNING o.id, o.district_id, o.attempt, o.type, o.body
        """
    }

    /// Confirmed by the broker; the row stays until its consumers' inboxes show it.
    func confirmed(_ ids: [UUID], lease: UUID) -> SQL {
        """
        UPDATE \(identifier: schema).emergency_outbox o SET confirmed_at = clock_timestamp(), lease = NULL
        WHERE o.id = ANY (\(ids)) AND o.lease = \(lease)
        """
    }

    func unknown(_ ids: [UUID], lease: UUID, after pause: Duration) -> SQL {
        """
        UPDATE \(identifier: schema).emergency_outbox o SET lease = NULL, lease_until = clock_timestamp() + \(pause)
        WHERE o.id = ANY (\(ids)) AND o.lease = \(lease)
        """
    }

    /// The row's own back-off: 50 ms doubling to 5 s.
    func refused(_ id: UUID, reason: String, lease: UUID) -> SQL {
        """
        UPDATE \(identifier: schema).emergency_outbox o
        SET lease = NULL, refused = o.refused + 1, refusal = \(reason),
            lease_until = clock_timestamp()
                + least(interval '5 seconds', interval '50 milliseconds' * power(2, least(o.refused, 7)))
        WHERE o.id = \(id) AND o.lease = \(lease)
        """
    }

    func released(_ ids: [UUID], lease: UUID) -> SQL {
        """
        UPDATE \(identifier: schema).emergency_outbox o
        SET attempt = o.attempt - 1, lease = NULL,
            lease_until = CASE WHEN o.attempt > 1 THEN clock_timestamp() END
        WHERE o.id = ANY (\(ids)) AND o.lease = \(lease)
        """
    }

    // MARK: - What is done

    /// Marks the rows that the inbox of every consumer named for them shows. Nothing to do answers from an index.
    func markConsumed(limit: Int = 1_000) -> SQL? {
        let owners = Set(
            EventType.allCases.filter { $0.publisher == service }.flatMap(\.emergencyConsumers))
        guard !owners.isEmpty else { return nil }
        let shown = SQL.joined(
            owners.map(\.schema).sorted().map { owner in
                """
                SELECT FROM \(identifier: owner).api_inbox i
                WHERE i.event_id = o.id AND i.source = \(service.rawValue) AND i.consumer = c.name
                """ as SQL
            }, separator: " UNION ALL ")
        return """
            UPDATE \(identifier: schema).emergency_outbox o SET consumed_at = clock_timestamp()
            WHERE o.id = ANY (ARRAY(
                SELECT o.id FROM \(identifier: schema).emergency_outbox o
                WHERE o.consumed_at IS NULL
                  AND NOT EXISTS (
                      SELECT FROM unnest(o.consumers) AS c (name)
                      WHERE NOT EXISTS (\(shown)))
                ORDER BY o.id
                LIMIT \(limit)::bigint
                FOR UPDATE SKIP LOCKED))
            """
    }

    /// Deletes the rows that went both ways: confirmed by the broker, and in every named inbox.
    func deleteDone(limit: Int = 1_000) -> SQL {
        """
        DELETE FROM \(identifier: schema).emergency_outbox o
        WHERE o.id = ANY (ARRAY(
            SELECT d.id FROM \(identifier: schema).emergency_outbox d
            WHERE d.consumed_at IS NOT NULL AND d.confirmed_at IS NOT NULL
            ORDER BY d.id
            LIMIT \(limit)::bigint
            FOR UPDATE SKIP LOCKED))
        """
    }

    /// A canary's row goes after 10 s, wherever it has got to. The statement's own time, since no index can be searched
    /// by a clock that moves meanwhile.
    func deleteCanaries() -> SQL {
        """
        DELETE FROM \(identifier: schema).emergency_outbox o
        WHERE o.canary AND o.created_at < statement_timestamp() - interval '10 seconds'
        """
    }
}
