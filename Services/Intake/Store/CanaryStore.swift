import FoundationEssentials
import Model
import Postgres

/// Who posts the canary's rounds, and whether the lane keeps up with them.
struct CanaryStore: Sendable {
    let database: PostgresClient

    /// What one look found.
    struct Turn: Sendable, Hashable {
        /// The lease is ours for the next two seconds.
        var isOurs: Bool
        /// A round of more than two seconds ago has not got everywhere yet.
        var lags: Bool
    }

    /// Takes the lease, or holds it for longer, unless another instance has it.
    func takeTurn(_ holder: UUID) async throws -> Turn {
        let rows = try await database.segment([
            """
            INSERT INTO intake.task_lease AS l (task, holder, until)
            VALUES ('canary', \(holder), clock_timestamp() + interval '2 seconds')
            ON CONFLICT (task) DO UPDATE SET holder = excluded.holder, until = excluded.until
            WHERE l.holder = excluded.holder OR l.until < clock_timestamp()
            RETURNING task
            """,
            """
            SELECT EXISTS (
                SELECT FROM intake.api_emergency_outbox
                WHERE canary AND created_at < clock_timestamp() - interval '2 seconds')
            OR EXISTS (
                SELECT FROM dispatch.api_emergency_outbox
                WHERE canary AND created_at < clock_timestamp() - interval '2 seconds')
            OR EXISTS (
                SELECT FROM notification.api_emergency_outbox
                WHERE canary AND created_at < clock_timestamp() - interval '2 seconds')
            """,
        ])
        return Turn(isOurs: !rows[0].isEmpty, lags: try rows[1].column(Bool.self)[0])
    }

    /// Gives the lease back, so that another instance goes on at once.
    func endTurn(_ holder: UUID) async throws {
        try await database.query("DELETE FROM intake.task_lease WHERE task = 'canary' AND holder = \(holder)")
    }
}
