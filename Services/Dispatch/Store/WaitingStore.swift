import Model
import Postgres
import Rules

/// What the alarm reads of `dispatch.claim_queue`: emergencies that nobody is on the way to. The canary's are left out.
/// `not_before` is when a case may claim by itself: from then on it waits for a crew, until then for somebody who
/// verifies it.
enum WaitingStore {
    /// In front of the statements below, which are after few rows of a table that may be long: its index of emergencies
    /// has no others. In force until the end of the transaction.
    static let byIndex: SQL = "SELECT set_config('enable_seqscan', 'off', true)"

    /// How many wait, and for how many seconds the oldest of them has.
    static let look: SQL = """
        SELECT count(*) FILTER (WHERE w.may_claim)::integer AS for_crew,
               coalesce(max(w.waited) FILTER (WHERE w.may_claim), 0)::float8 AS oldest_for_crew,
               count(*) FILTER (WHERE NOT w.may_claim)::integer AS for_verification,
               coalesce(max(w.waited + \(QueuePriority.verificationWait.inSeconds)::float8)
                            FILTER (WHERE NOT w.may_claim), 0)::float8 AS oldest_for_verification
        FROM (
            SELECT q.verified OR q.not_before <= statement_timestamp() AS may_claim,
                   extract(epoch FROM statement_timestamp() - q.not_before)::float8 AS waited
            FROM dispatch.claim_queue q
            WHERE q.emergency AND NOT q.canary
        ) w
        """

    /// Emergencies that have waited for a crew for longer than `patience`, the longest first, besides those of `told`.
    static func long(_ patience: Duration, besides told: [Case.ID], limit: Int) -> SQL {
        """
        SELECT q.case_id, q.district_id, q.severity,
               extract(epoch FROM statement_timestamp() - q.not_before)::float8 AS waited
        FROM dispatch.claim_queue q
        WHERE \(waits(longerThan: patience)) AND NOT q.case_id = ANY (\(told))
        ORDER BY q.not_before, q.case_id
        LIMIT \(limit)
        """
    }

    /// Those of `told` that wait still.
    static func still(_ patience: Duration, of told: [Case.ID]) -> SQL {
        """
        SELECT q.case_id FROM dispatch.claim_queue q
        WHERE q.case_id = ANY (\(told)) AND \(waits(longerThan: patience))
        """
    }

    /// Whether no instance with a lesser name is at work: of several that see the same, one tells.
    static func isFirst(_ instance: String) -> SQL {
        """
        SELECT NOT EXISTS (
            SELECT FROM dispatch.lane_signal s
            WHERE s.instance < \(instance) AND s.measured_at > statement_timestamp() - interval '2 seconds') AS is_first
        """
    }

    private static func waits(longerThan patience: Duration) -> SQL {
        """
        q.emergency AND NOT q.canary
        AND q.not_before < statement_timestamp() - \(patience.inSeconds)::float8 * interval '1 second'
        """
    }
}
