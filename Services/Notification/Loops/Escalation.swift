import FoundationEssentials
import Logging
import Metrics
import Model
import Outbox
import Postgres
import ServiceLifecycle

/// Tells the second level when nobody acknowledged in time. Due times are rows, so a restart forgets none.
struct Escalation: Service {
    let database: PostgresClient
    let messaging: Messaging
    let maker: NoticeMaker
    let announcer: NoticeAnnouncer
    let bell: SendBell
    let logger: Logger
    var pause: Duration = .seconds(1)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    while try await escalate() > 0 {}
                } catch {
                    if !(error is CancellationError) {
                        logger.warning("escalation waits", metadata: ["error": "\(error)"])
                    }
                }
                try? await Task.sleep(for: pause)
            }
        }
    }

    /// One batch; how many notices were escalated.
    func escalate() async throws -> Int {
        let (count, announcements): (Int, [Announcement]) = try await database.transaction { transaction in
            let rows = try await transaction.query(NoticeStore.toEscalate(limit: 50))
            guard !rows.isEmpty else { return (0, []) }
            let due = try rows.map { row in
                (
                    notice: try NoticeRecord(row),
                    facts: try JSONB(row.decode("snapshot", as: String.self)).decode(CaseSnapshot.self)
                )
            }
            let contacts = try Contacts(try await transaction.query(OfficeStore.contacts(for: due.map(\.facts))))
            let now = messaging.sources.now()
            var notices: [NewNotice] = []
            var announcements: [Announcement] = []
            // Several people of one office are one silence: the second level is told once a case.
            var cases: Set<Case.ID> = []
            for (notice, facts) in due {
                var changed = notice
                changed.state = .escalated
                changed.version += 1
                announcements.append(try announcer.announce(.noticeEscalated, changed.snapshot(), actor: "system"))
                if cases.insert(notice.caseID).inserted {
                    notices += maker.escalation(facts, contacts: contacts, round: notice.round + 1, now: now)
                }
            }
            try await transaction.commit(
                [NoticeStore.escalated(due.map(\.notice.id.rawValue))] + NoticeStore.insert(notices)
                    + messaging.announce(announcements))
            return (due.count, announcements)
        }
        guard count > 0 else { return 0 }
        Counter(label: "sluice_notices_escalated_total").increment(by: count)
        messaging.committed(announcements)
        bell.ring(.emergency)
        return count
    }
}
