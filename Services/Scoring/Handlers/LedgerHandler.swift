import Model
import Outbox
import Postgres

/// Writes every event into the ledger, in whatever order they come. Nothing has to be looked at; it is a decision for the
/// sake of its batches, whose events share one COMMIT.
struct LedgerHandler: DecisionHandler {
    var dropsCanaries: Bool { true }

    func plan(_ events: [Event]) -> (locks: [AdvisoryLock], look: [SQL], plan: Void) { ([], [], ()) }

    func decide(
        _ events: [Event], plan: Void, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement]) {
        (try LedgerStore.live.write(events), [])
    }
}
