import FoundationEssentials
import Logging
import Model
import Outbox
import Postgres
import Rules

/// Gives waiting cases to crews. A claim is a decision of its own, begun after the commit that made it possible: queue
/// row, one crew's slot, case, in that order; the slot's lock is the look. Never two crews held.
struct Claiming: Sendable {
    let database: PostgresClient
    let messaging: Messaging
    let categories: CategoryCache
    let live: Wake
    let meter: LaneMeter

    var sources: Sources { messaging.sources }

    /// How long a claim waits for a nearer crew that another transaction holds.
    static let emergencyPatience = "100ms"
    static let routinePatience = "5ms"

    // MARK: - Emergencies

    /// Claims for every emergency that some crew can take now, one at a time, the most urgent first.
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
            let rows = try await database.segment([
                QueueStore.pinnedPlans, QueueStore.firstEmergency(passingOver: passedOver, canary: canary),
            ])[1]
            guard let first = rows.first else { break }
            let wanted = try QueueRecord(waiting: first)
            let offers = try rows.filter { row in try row.decode("case_id", as: Case.ID.self) == wanted.caseID }
                .map { row in try CrewOffer(row, for: wanted) }
            if try await claim(wanted, from: offers) { claimed += 1 } else { passedOver.append(wanted.caseID) }
            // It has one crew, which is free again when its order is finished.
            if canary { break }
        }
        return claimed
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
                "SELECT set_config('lock_timeout', \(Self.emergencyPatience), true)",
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

    // MARK: - Routine work

    /// Transactions of one round that are under way at once. Each holds one crew, so they never wait for one another.
    private static let routineWidth = 4

    /// One round over the head of the queue: a transaction a crew, for all cases that it is the nearest for.
    /// - Returns: how many cases got a place in a crew's list.
    @discardableResult
    func claimRoutine(limit: Int) async throws -> Int {
        let head = try await database.segment([
            QueueStore.pinnedPlans,
            QueueStore.routineHead(skillKeys: categories.current.skillKeys, limit: limit),
        ])[1]
        var order: [Crew.ID] = []
        var byCrew: [Crew.ID: [Case.ID]] = [:]
        for row in head {
            let crew: Crew.ID = try row.decode("crew_id")
            if byCrew[crew] == nil { order.append(crew) }
            byCrew[crew, default: []].append(try row.decode("case_id"))
        }
        return try await withThrowingTaskGroup(of: Int.self) { group in
            var claimed = 0
            for (index, crew) in order.enumerated() {
                if index >= Self.routineWidth, let count = try await group.next() { claimed += count }
                group.addTask { [wanted = byCrew[crew] ?? []] in try await listUnlessLocked(wanted, for: crew) }
            }
            for try await count in group { claimed += count }
            return claimed
        }
    }

    private func listUnlessLocked(_ wanted: [Case.ID], for crew: Crew.ID) async throws -> Int {
        do {
            return try await list(wanted, for: crew)
        } catch let error as PostgresError where error.isLockTimeout || error.sqlState == "40P01" {
            return 0
        }
    }

    private func list(_ wanted: [Case.ID], for crew: Crew.ID) async throws -> Int {
        let done = try await database.transaction { transaction in
            let rows = try await transaction.send([
                "SELECT set_config('lock_timeout', \(Self.routinePatience), true)",
                QueueStore.lockFree(wanted),
                CrewStore.lockSlots([crew]),
                CrewStore.offer(crew),
                "SELECT clock_timestamp()",
                CaseStore.lock(wanted),
            ])
            var queued = try rows[1].map { try QueueRecord($0) }.filter { !$0.emergency }
            queued.sort { $0.priority < $1.priority }
            guard let slot = try rows[2].first.map({ try SlotRecord($0) }), let crewRow = rows[3].first else {
                return (count: 0, announcements: [Announcement]())
            }
            let now: Timestamp = try rows[4].column()[0]
            let cases = Dictionary(
                uniqueKeysWithValues: try rows[5].map { row in
                    let record = try CaseRecord(row)
                    return (record.caseID, record)
                })
            var changes = Changes(sources: sources, now: now, actor: "rule:claim")
            var slotAfter = slot
            for item in queued {
                guard let record = cases[item.caseID], record.needsCrew else { continue }
                let offer = try CrewOffer(list: crewRow, slot: slotAfter, for: item)
                guard let choice = CrewClaim.choose(item.demand, among: [offer.candidate]) else { continue }
                let order = try assign(record, to: offer, reason: choice.reason, state: .assigned, into: &changes)
                changes.unqueued.append(record.caseID)
                slotAfter.listed += 1
                changes.decide(
                    .claim, "listed", choice.reason, about: record, order: order.orderID,
                    inputs: inputs(item, choice, []), ruleVersion: CrewClaim.ruleVersion)
            }
            guard slotAfter.listed > slot.listed else { return (count: 0, announcements: [Announcement]()) }
            changes.slots.append(CrewStore.save(slotAfter))
            try await transaction.commit(try changes.writes() + messaging.announce(changes.announcements))
            return (count: slotAfter.listed - slot.listed, announcements: changes.announcements)
        }
        if done.count > 0 {
            messaging.committed(done.announcements)
            live.signal()
        }
        return done.count
    }

    // MARK: - Both

    private func assign(
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

    private func inputs(
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

/// A crew as a candidate, with what an order says of it.
struct CrewOffer: Sendable {
    var name: String
    var candidate: CrewClaim.Candidate

    /// A row of `QueueStore.firstEmergency`: the query has seen to skills and districts, which the rule sees again.
    init(_ row: Row, for wanted: QueueRecord) throws {
        try self.init(row, slot: SlotRecord(row), districts: [wanted.districtID], for: wanted)
    }

    /// A row of `CrewStore.offer`.
    init(list row: Row, slot: SlotRecord, for wanted: QueueRecord) throws {
        try self.init(row, slot: slot, districts: Set(row.decode("districts", as: [District.ID].self)), for: wanted)
    }

    private init(_ row: Row, slot: SlotRecord, districts: Set<District.ID>, for wanted: QueueRecord) throws {
        name = try row.decode("name")
        candidate = CrewClaim.Candidate(
            crewID: slot.crewID, onShift: slot.shiftID != nil, skills: Set(try row.decode("skills", as: [String].self)),
            districts: districts, job: slot.job, listed: slot.listed, listLimit: try row.decode("list_limit"),
            distance: Geodesy.distance(
                Coordinate(lon: try row.decode("crew_lon"), lat: try row.decode("crew_lat")), wanted.place),
            unanswered: slot.unanswered)
    }

    func with(_ slot: SlotRecord) -> CrewClaim.Candidate {
        var candidate = candidate
        candidate.onShift = slot.shiftID != nil
        candidate.job = slot.job
        candidate.listed = slot.listed
        candidate.unanswered = slot.unanswered
        return candidate
    }
}
