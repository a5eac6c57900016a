import Model
import Outbox
import Postgres

/// Writes every event into the ledger, in whatever order they come.
struct LedgerHandler: SegmentHandler {
    func effects(of event: Event) throws -> (statements: [SQL], announcements: [Announcement]) {
        if event.canary { return ([], []) }
        return (try LedgerStore.live.write([event]), [])
    }
}
