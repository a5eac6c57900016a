import Model
import Postgres

/// The canary's rounds in dispatch: cases of its own district that its own crew is given and has done at once.
enum CanaryStore {
    /// Ends whatever binds the canary's crew, so that the next round finds it free. Quietly: what is measured ended with
    /// the claim, and nobody waits to hear of this. The slot first, in a statement of its own: what another instance has
    /// just claimed is seen by the ones after it.
    static let finish: [SQL] = [
        "SELECT crew_id FROM dispatch.crew_slot WHERE crew_id = \(Crew.canary) FOR UPDATE",
        """
        WITH late AS (
            -- Rounds that came while this one waited: it was the oldest and has said how long. Never waits for a queue
            -- row while the slot is held, since claims take the two the other way round.
            DELETE FROM dispatch.claim_queue q
            WHERE q.case_id = ANY (ARRAY (
                SELECT w.case_id FROM dispatch.claim_queue w
                WHERE w.canary AND w.since < clock_timestamp() - interval '1 second'
                FOR UPDATE SKIP LOCKED))
            RETURNING q.case_id
        ), closed AS (
            UPDATE dispatch.case_file c
            SET state = 'closed', closed_at = clock_timestamp(), version = c.version + 1
            FROM (
                SELECT case_id FROM late
                UNION
                SELECT o.case_id FROM dispatch.work_order o
                WHERE o.crew_id = \(Crew.canary) AND o.released_at IS NULL
            ) over
            WHERE c.case_id = over.case_id
            RETURNING c.case_id, c.order_id
        ), done AS (
            UPDATE dispatch.work_order o
            SET state = 'done', done_at = clock_timestamp(), released_at = clock_timestamp(), version = o.version + 1
            FROM closed
            WHERE o.order_id = closed.order_id
        ), clocks AS (
            DELETE FROM dispatch.due d USING closed WHERE d.case_id = closed.case_id
        ), period AS (
            UPDATE dispatch.crew_period p
            SET period = tstzrange(lower(p.period), greatest(lower(p.period), clock_timestamp()))
            FROM closed
            WHERE p.order_id = closed.order_id
        )
        UPDATE dispatch.crew_slot
        SET active_order = NULL, active_emergency = NULL, active_severity = NULL, active_state = NULL, listed = 0,
            unanswered = 0, free_since = clock_timestamp()
        WHERE crew_id = \(Crew.canary)
        """,
    ]
}
