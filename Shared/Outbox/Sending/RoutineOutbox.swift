internal import FoundationEssentials
internal import Model
internal import Postgres

/// The statements of the routine outbox. Every statement finds its rows by an index in exactly their order; what a
/// claim costs depends on how much it takes, not on how much waits.
struct RoutineOutbox: Sendable {
    let service: ServiceName
    private var schema: String { service.schema }

    /// Pins the plans: statistics of a queue are always wrong (it was empty, or full, when they were taken), and one
    /// sequential scan of a backlog would stall the relay. In force until the end of the transaction.
    static let pinnedPlans: SQL = """
        SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
               set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
        """

    /// Claims up to about `limit` rows that were never sent: goes round the districts that have any, beginning behind
    /// `after`, and takes from each its oldest. Rows that another relay is claiming are passed over.
    func claimUnsent(limit: Int, after district: UUID, lease: UUID, for duration: Duration) -> SQL {
        """
        WITH RECURSIVE waiting AS (
            -- One step down the index for each district, however many rows it has.
            (SELECT o.district_id FROM \(identifier: schema).outbox o
             WHERE o.attempt = 0 ORDER BY o.district_id LIMIT 1)
            UNION ALL
            SELECT (SELECT o.district_id FROM \(identifier: schema).outbox o
                    WHERE o.attempt = 0 AND o.district_id > w.district_id ORDER BY o.district_id LIMIT 1)
            FROM waiting w
            WHERE w.district_id IS NOT NULL
        ), round AS MATERIALIZED (
            SELECT w.district_id, greatest(1, \(limit)::bigint / count(*) OVER ()) AS quota
            FROM waiting w
            WHERE w.district_id IS NOT NULL
            ORDER BY w.district_id > \(district)::uuid DESC, w.district_id
            LIMIT \(limit)::bigint
        ), picked AS MATERIALIZED (
            SELECT p.id
            FROM round r CROSS JOIN LATERAL (
                SELECT o.id FROM \(identifier: schema).outbox o
                WHERE o.attempt = 0 AND o.district_id = r.district_id
                ORDER BY o.id
                LIMIT r.quota
                FOR UPDATE SKIP LOCKED
            ) p
        ), \(leased(lease: lease, duration: duration))
        """
    }

    /// Claims rows whose lease has run out, longest ago first.
    func claimExpired(limit: Int, lease: UUID, for duration: Duration) -> SQL {
        """
        WITH picked AS MATERIALIZED (
            SELECT o.id FROM \(identifier: schema).outbox o
            WHERE o.attempt > 0 AND o.lease_until < statement_timestamp()
            ORDER BY o.lease_until
            LIMIT \(limit)::bigint
            FOR UPDATE SKIP LOCKED
        ), \(leased(lease: lease, duration: duration))
        """
    }

    /// Writes the lease on what was picked and answers the events, from history, by one look-up each.
    private func leased(lease: UUID, duration: Duration) -> SQL {
        """
        leased AS (
            UPDATE \(identifier: schema).outbox o
            SET attempt = o.attempt + 1, lease = \(lease), lease_until = clock_timestamp() + \(duration)
            WHERE o.id = ANY (ARRAY(SELECT p.id FROM picked p))
            RETURNING o.id, o.attempt
        )
        SELECT l.attempt, \(Event.historyColumns)
        FROM leased l CROSS JOIN LATERAL (
            SELECT * FROM \(identifier: schema).history h WHERE h.id = l.id LIMIT 1
        ) h
        ORDER BY h.id
        """
    }

    /// Confirmed: the row goes, if it is still under the lease it was sent under.
    func confirmed(_ ids: [UUID], lease: UUID) -> SQL {
        """
        DELETE FROM \(identifier: schema).outbox o WHERE o.id = ANY (\(ids)) AND o.lease = \(lease)
        """
    }

    /// Outcome unknown: no try is counted against the row; it is sent again soon, under the re-send limit.
    func unknown(_ ids: [UUID], lease: UUID, after pause: Duration) -> SQL {
        """
        UPDATE \(identifier: schema).outbox o SET lease = NULL, lease_until = clock_timestamp() + \(pause)
        WHERE o.id = ANY (\(ids)) AND o.lease = \(lease)
        """
    }

    /// Refused by the broker: the row's own back-off, 100 ms doubling to 5 minutes, keeps it out of the others' way.
    func refused(_ id: UUID, reason: String, lease: UUID) -> SQL {
        """
        UPDATE \(identifier: schema).outbox o
        SET lease = NULL, refused = o.refused + 1, refusal = \(reason),
            lease_until = clock_timestamp()
                + least(interval '5 minutes', interval '100 milliseconds' * power(2, least(o.refused, 12)))
        WHERE o.id = \(id) AND o.lease = \(lease)
        """
    }

    /// Claimed, but not sent at all: as if it had never been claimed.
    func released(_ ids: [UUID], lease: UUID) -> SQL {
        """
        UPDATE \(identifier: schema).outbox o
        SET attempt = o.attempt - 1, lease = NULL,
            lease_until = CASE WHEN o.attempt > 1 THEN clock_timestamp() END
        WHERE o.id = ANY (\(ids)) AND o.lease = \(lease)
        """
    }
}
