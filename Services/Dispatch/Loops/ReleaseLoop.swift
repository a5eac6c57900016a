import Logging
import Model
import Outbox
import Postgres
import Rules
import ServiceLifecycle

/// Takes work back from crews that cannot do it now: orders that nobody has answered, and the lists of crews that an
/// emergency has taken or whose shift is over. In batches and outside the lane.
struct ReleaseLoop: Service {
    struct Patience: Sendable {
        var emergency: Duration
        var routine: Duration
    }

    let database: PostgresClient
    let messaging: Messaging
    let categories: CategoryCache
    let claims: Wakes
    let live: Wake
    let patience: Patience
    let interval: Duration
    let logger: Logger

    func run() async throws {
        await repeatUntilShutdown(every: interval) {
            do {
                try await silence(emergency: true, after: patience.emergency)
                try await silence(emergency: false, after: patience.routine)
                try await clearLists()
            } catch {
                logger.warning("releases stopped early", metadata: ["error": "\(error)"])
            }
        }
    }

    // MARK: - Silence

    func silence(emergency: Bool, after patience: Duration) async throws {
        let found = try await database.query(
            OrderStore.unanswered(emergency: emergency, before: messaging.sources.now() - patience, limit: 100))
        for row in found {
            do {
                try await release(
                    crew: try row.decode("crew_id"), orders: [try row.decode("order_id")],
                    cases: [try row.decode("case_id")], act: .silence, reason: Releases.silent)
            } catch let error as PostgresError where error.isConflictWithNeighbour {
                continue
            }
        }
    }

    // MARK: - Lists

    func clearLists() async throws {
        let crews = try await database.query(CrewStore.withListsToClear)
        for crew in try crews.column(Crew.ID.self) {
            let listed = try await database.query(OrderStore.listed(of: crew, limit: 50)).map { try OrderRecord($0) }
            try await release(
                crew: crew, orders: listed.map(\.orderID), cases: listed.map(\.caseID), act: .withdraw,
                reason: Releases.displaced, endsClearing: listed.count < 50)
        }
    }

    /// One transaction: these orders of one crew end, and their cases wait again.
    private func release(
        crew: Crew.ID, orders: [WorkOrder.ID], cases: [Case.ID], act: OrderAct, reason: Reason,
        endsClearing: Bool = false
    ) async throws {
        let announcements = try await database.transaction { transaction -> [Announcement] in
            let rows = try await transaction.send([
                CrewStore.lockSlots([crew]), CaseStore.lock(cases), OrderStore.lock(orders), "SELECT clock_timestamp()",
            ])
            guard var slot = try rows[0].first.map({ try SlotRecord($0) }) else { return [] }
            let now: Timestamp = try rows[3].column()[0]
            var changes = Changes(sources: messaging.sources, now: now, actor: "rule:release")
            var records = try rows[1].keyed(by: \.caseID) { try CaseRecord($0) }
            for order in try rows[2].map({ try OrderRecord($0) }) {
                // It has been answered, or taken back, in the meantime.
                guard let before = records[order.caseID], before.orderID == order.orderID,
                    case .success = OrderLifecycle.next(after: act, in: order.state)
                else { continue }
                var after = before
                try Releases.withdraw(order, of: &after, reason: reason, act: act, now: now, into: &changes)
                after.reason = reason
                try changes.change(after, from: before)
                records[order.caseID] = nil
                if order.isActive {
                    slot.job = nil
                    slot.freeSince = max(slot.freeSince, now)
                } else {
                    slot.listed = max(0, slot.listed - 1)
                }
                // Routine work that waits in a list for long says nothing about who would answer an emergency.
                if act == .silence, order.emergency { slot.unanswered += 1 }
                if after.needsCrew {
                    changes.queued.append(
                        QueueRecord(
                            after, skills: categories.terms(after.category)?.skills ?? [],
                            silent: act == .silence ? [crew] : [], now: now))
                }
                changes.decide(
                    act == .silence ? .silence : .displacement, act == .silence ? "requeued" : "handed_on", reason,
                    about: after, order: order.orderID,
                    inputs: ["crew": crew.json, "assigned_at": .string(order.assignedAt.description)],
                    ruleVersion: OrderLifecycle.ruleVersion)
            }
            if endsClearing { slot.clearList = false }
            changes.slots.append(CrewStore.save(slot))
            try await transaction.commit(try changes.writes() + messaging.announce(changes.announcements))
            return changes.announcements
        }
        messaging.committed(announcements)
        claims.signal()
        if !announcements.isEmpty { live.signal() }
    }
}
