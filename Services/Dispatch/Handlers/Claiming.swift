import FoundationEssentials
import Logging
import Model
import Outbox
import Postgres
import Rules

/// Gives waiting cases to crews. A claim is a decision of its own, begun after the commit that made it possible: queue
/// row, crew's slot, case, in that order; the slot's lock is the look. An emergency holds one crew and may wait for it;
/// see `RoutineClaims.swift` for those that hold several and wait for none.
struct Claiming: Sendable {
    let database: PostgresClient
    let messaging: Messaging
    let categories: CategoryCache
    let live: Wake
    let meter: LaneMeter

    var sources: Sources { messaging.sources }

    /// How long a claim waits for a nearer crew that another transaction holds.
    private static let patience = "100ms"
    /// Claims of one round that are under way at once.
    private static let width = 3

    // MARK: - Emergencies

    /// Claims for every emergency that some crew can take now, the most urgent first.
    /// - Returns: how many were claimed.
    @discardableResult
    func claimEmergencies() async throws -> Int {
        let claimed = try await claimEmergencies(canary: false)
        if try await claimEmergencies(canary: true) > 0 { try await database.segment(CanaryStore.finish) }
        return claimed
    }

    private func claimEmergencies(canary: Bool) async throws -> Int {
        var claimed = 0
        var passedOver: [Case.ID] = []
        // A bound, so that one call cannot run for ever beside claims that come back.
        for _ in 0..<500 {
            let head = try await waiting(passingOver: passedOver, canary: canary)
            if head.isEmpty { break }
            let won = try await claim(Self.plan(head))
            claimed += won.values.count { $0 }
            passedOver += won.filter { !$0.value }.map(\.key)
            // The canary has one crew, which is free again when its order is finished.
            if canary { break }
        }
        return claimed
    }

    /// An emergency, and the crews that could take it as the look saw them.
    private struct Wanted: Sendable {
        var record: QueueRecord
        var offers: [CrewOffer]
    }

    /// The first of the queue that some crew could take, in the queue's order.
    private func waiting(passingOver skipped: [Case.ID], canary: Bool) async throws -> [Wanted] {
        let rows = try await database.segment([
            QueueStore.pinnedPlans,
            canary ? QueueStore.firstCanaries : QueueStore.firstEmergencies(passingOver: skipped),
        ])[1]
        var found: [Wanted] = []
        for row in rows {
            if try found.last?.record.caseID != row.decode("case_id", as: Case.ID.self) {
                found.append(Wanted(record: try QueueRecord(waiting: row), offers: []))
            }
            let last = found.count - 1
            found[last].offers.append(try CrewOffer(row, for: found[last].record))
        }
        // The last one's candidates may have been cut off.
        if rows.count == QueueStore.headRows, found.count > 1 { found.removeLast() }
        return found
    }

    /// The more urgent one chooses first; who finds its crews chosen looks again when those are gone. The first of the
    /// queue is always in it.
    private static func plan(_ head: [Wanted]) -> [Wanted] {
        var chosen: Set<Crew.ID> = []
        return head.compactMap { wanted in
            let left = wanted.offers.filter { !chosen.contains($0.candidate.crewID) }
            if let choice = CrewClaim.choose(wanted.record.demand, among: left.map(\.candidate)) {
                chosen.insert(choice.crewID)
            } else if left.count < wanted.offers.count {
                return nil
            }
            return Wanted(record: wanted.record, offers: left)
        }
    }

    /// Claims side by side: one waits for its flush, not for those of the others.
    /// - Returns: which of them got a crew.
    private func claim(_ planned: [Wanted]) async throws -> [Case.ID: Bool] {
        try await withThrowingTaskGroup(of: (Case.ID, Bool).self) { group in
            var won: [Case.ID: Bool] = [:]
            for (index, wanted) in planned.enumerated() {
                if index >= Self.width, let (caseID, hasCrew) = try await group.next() { won[caseID] = hasCrew }
                group.addTask { (wanted.record.caseID, try await claim(wanted.record, from: wanted.offers)) }
            }
            for try await (caseID, hasCrew) in group { won[caseID] = hasCrew }
            return won
        }
    }

    /// Tries the crews in the rule's order until one is got.
    private func claim(_ wanted: QueueRecord, from offers: [CrewOffer]) async throws -> Bool {
        var left = offers
        while let choice = CrewClaim.choose(wanted.demand, among: left.map(\.candidate)) {
            guard let offer = left.first(where: { $0.candidate.crewID == choice.crewID }) else { return false }
            left.removeAll { $0.candidate.crewID == choice.crewID }
            do {
                try await take(wanted, offer, considered: offers)
                return true
            } catch ClaimLost.case {
                return false
            } catch ClaimLost.crew {
                continue
            } catch let error as PostgresError
                where error.isLockTimeout || error.isExclusionViolation() || error.isUniqueViolation()
                || error.sqlState == "40P01"
            {
                // Locked is not taken; but the next nearest is better than waiting longer.
                continue
            }
        }
        return false
    }

    private func take(_ wanted: QueueRecord, _ offer: CrewOffer, considered: [CrewOffer]) async throws {
        let crew = offer.candidate.crewID
        let announcements = try await database.transaction { transaction in
            let rows = try await transaction.send([
                "SELECT set_config('lock_timeout', \(Self.patience), true)",
                QueueStore.lockFree([wanted.caseID]),
                CrewStore.lockSlots([crew]),
                "SELECT clock_timestamp()",
                CaseStore.lockWithDisplaced(wanted.caseID, crew: crew),
                OrderStore.lockActive(of: crew),
            ])
            guard let queued = try rows[1].first.map({ try QueueRecord($0) }), queued.emergency else {
                throw ClaimLost.case
            }
            guard let slot = try rows[2].first.map({ try SlotRecord($0) }) else { throw ClaimLost.crew }
            let now: Timestamp = try rows[3].column()[0]
            let cases = try rows[4].map { try CaseRecord($0) }
            guard let record = cases.first(where: { $0.caseID == wanted.caseID }), record.needsCrew else {
                throw ClaimLost.case
            }
            // The same rule again, on what the lock shows.
            guard let choice = CrewClaim.choose(queued.demand, among: [offer.with(slot)]) else { throw ClaimLost.crew }

            var changes = Changes(sources: sources, now: now, actor: "rule:claim")
            changes.unqueued = [record.caseID]
            var slotAfter = slot
            if choice.displaces != nil {
                guard let order = try rows[5].first.map({ try OrderRecord($0) }),
                    let displaced = cases.first(where: { $0.caseID == order.caseID })
                else { throw ClaimLost.crew }
                var after = displaced
                after.reason = Releases.displaced
                try Releases.withdraw(order, of: &after, reason: Releases.displaced, now: now, into: &changes)
                try changes.change(after, from: displaced)
                changes.queued.append(
                    QueueRecord(after, skills: categories.terms(after.category)?.skills ?? [], now: now))
                changes.decide(
                    .displacement, "displaced", Releases.displaced, about: after, order: order.orderID,
                    inputs: ["by_case": record.caseID.json, "severity": .integer(Int64(order.severity.rawValue))],
                    ruleVersion: CrewClaim.ruleVersion)
            }
            let order = try assign(record, to: offer, reason: choice.reason, state: .assigned, into: &changes)
            slotAfter.job = CrewClaim.Job(
                orderID: order.orderID, emergency: true, severity: record.severity, state: .assigned)
            slotAfter.clearList = slot.clearList || choice.clearsList
            changes.slots.append(CrewStore.save(slotAfter))
            changes.periods.append(OrderStore.openPeriod(order, since: max(now, slot.freeSince)))
            changes.decide(
                .claim, "claimed", choice.reason, about: record, order: order.orderID,
                inputs: inputs(queued, choice, considered), ruleVersion: CrewClaim.ruleVersion)
            try await transaction.commit(try changes.writes() + messaging.announce(changes.announcements))
            meter.record(claimed: now - max(queued.notBefore, slot.freeSince), canary: record.canary)
            return changes.announcements
        }
        messaging.committed(announcements)
        live.signal()
    }

    // MARK: - Both

    func assign(
        _ record: CaseRecord, to offer: CrewOffer, reason: Reason, state: OrderState, into changes: inout Changes
    ) throws -> OrderRecord {
        let order = OrderRecord(
            orderID: WorkOrder.ID(sources.randomUUID(changes.now)), caseID: record.caseID,
            districtID: record.districtID, streetID: record.streetID, crewID: offer.candidate.crewID,
            crewName: offer.name, emergency: record.emergency, severity: record.severity, state: state,
            assignedAt: changes.now, lastStepAt: changes.now, assignedBy: changes.actor, reasonCode: reason.code,
            reasonZH: reason.zh, reasonEN: reason.en, canary: record.canary, version: 1)
        var after = record
        after.state = try CaseLifecycle.next(after: .dispatch, in: record.state).get()
        after.crewID = order.crewID
        after.orderID = order.orderID
        after.reason = reason
        try changes.change(after, from: record)
        try changes.assign(order, responsible: record.responsibleDistrictID)
        return order
    }

    func inputs(
        _ wanted: QueueRecord, _ choice: CrewClaim.Choice, _ considered: [CrewOffer]
    ) -> [String: JSONValue] {
        [
            "severity": .integer(Int64(wanted.severity.rawValue)), "verified": .bool(wanted.verified),
            "skills": .array(wanted.skills.map(JSONValue.string)), "crew": choice.crewID.json,
            "distance_m": .number(choice.distance.rawValue.rounded()),
            "considered": .array(
                considered.map { offer in
                    .object([
                        "crew": offer.candidate.crewID.json,
                        "distance_m": .number(offer.candidate.distance.rawValue.rounded()),
                        "free": .bool(offer.candidate.job == nil),
                    ])
                }),
        ]
    }
}

/// Why a claim that looked possible was not.
enum ClaimLost: Error {
    /// Another claim has taken the case, or it no longer waits.
    case `case`
    /// The crew has another job by now.
    case crew
}
