import Model
import Outbox
import Postgres

/// Writes every event into the ledger, in whatever order they come.
struct LedgerHandler: SegmentHandler {
    var dropsCanaries: Bool { true }

    func effects(of event: Event) throws -> (statements: [SQL], announcements: [Announcement]) {
        (try LedgerStore.live.write([event]), [])
    }
}
