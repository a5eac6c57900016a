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
        WITH closed AS (
            UPDATE dispatch.case_file c
            SET state = 'closed', closed_at = clock_timestamp(), version = c.version + 1
            FROM dispatch.work_order o
            WHERE o.crew_id = \(Crew.canary) AND o.released_at IS NULL AND c.case_id = o.case_id
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
