import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// One decision of a dispatcher over what has been locked for it. It refuses with a `Problem` that says why, or fills
/// `changes`.
struct CaseDesk {
    let terms: @Sendable (String) -> CategoryTerms?
    let storm: StormLevel
    let now: Timestamp
    let cause: Changes.Cause
    /// The dispatcher's own words.
    let note: String?

    private(set) var before: CaseRecord
    var record: CaseRecord
    let order: OrderRecord?
    /// Locked slots, by crew.
    var slots: [Crew.ID: SlotRecord]
    var changes: Changes
    private(set) var eventType: EventType = .caseChanged

    init(
        record: CaseRecord, order: OrderRecord?, slots: [Crew.ID: SlotRecord], storm: StormLevel, note: String?,
        cause: Changes.Cause, changes: Changes, terms: @escaping @Sendable (String) -> CategoryTerms?
    ) {
        self.before = record
        self.record = record
        self.order = order
        self.slots = slots
        self.storm = storm
        self.note = note
        self.cause = cause
        self.changes = changes
        self.now = changes.now
        self.terms = terms
    }

    // MARK: - Acts on one case

    mutating func reject() throws {
        try move(.reject)
        try takeOrderBack(Reason("case_rejected", zh: "案件不予立案", en: "The case was rejected."))
        end()
    }

    mutating func close() throws {
        try move(.close)
        try takeOrderBack(Reason("case_closed", zh: "案件已结案", en: "The case was closed."))
        pause(since: record.suspendedAt)
        // A dispatcher who closes it has answered it, and holds it for handled.
        record.respondedAt = record.respondedAt ?? now
        record.resolvedAt = record.resolvedAt ?? now
        end()
    }

    mutating func suspend() throws {
        let state = record.state
        try move(.suspend)
        try takeOrderBack(Reason("case_suspended", zh: "案件挂起", en: "The case was suspended."))
        record.formerState = state == .dispatched ? .filed : state
        record.suspendedAt = now
        record.state = .suspended
        changes.unqueued.append(record.caseID)
    }

    mutating func resume() throws {
        let former = record.formerState
        record.state = try allowed(CaseLifecycle.next(after: .resume, in: record.state, former: former))
        pause(since: record.suspendedAt)
        record.suspendedAt = nil
        record.formerState = nil
        requeue()
    }

    mutating func reopen() throws {
        try move(.reopen)
        // The time for which it was over counts for nobody.
        let over = record.closedAt ?? record.resolvedAt
        record.closedAt = nil
        record.arrivedAt = nil
        record.resolvedAt = nil
        pause(since: over)
        requeue()
    }

    mutating func verify(passed: Bool) throws {
        if record.state != .verification, !record.verified, !record.state.isTerminal {
            guard passed else { return try reject() }
            record.verified = true
            changes.queueUpdates.append(QueueStore.raise(record.caseID, severity: nil, verifies: true, now: now))
            return
        }
        guard passed else {
            try move(.refute)
            record.resolvedAt = nil
            record.arrivedAt = nil
            return requeue()
        }
        try move(.verify)
        end()
    }

    mutating func setPriority(emergency: Bool?, severity: Severity?) throws {
        guard !record.state.isTerminal else {
            throw Problem.refused(CaseLifecycle.next(after: .suspend, in: record.state))
        }
        record.emergency = emergency ?? record.emergency
        record.severity = severity ?? record.severity
        let shift = QueuePriority.shift(
            from: (before.emergency, before.severity), to: (record.emergency, record.severity))
        guard shift != .none else {
            throw Problem.conflict(code: "no_change", "The case has this priority already.", zh: "优先级没有变化。")
        }
        // A dispatcher's raise is a verification too.
        if shift == .raisedToEmergency { record.verified = true }
        guard let order else {
            if record.needsCrew { requeue() }
            return
        }
        if shift == .raisedToEmergency, !order.state.isStarted {
            try takeOrderBack(Releases.raised)
            return requeue()
        }
        try bring(order, inLineWith: record)
    }

    /// The order, and the job that binds its crew, become as urgent as their case.
    mutating func bring(_ order: OrderRecord, inLineWith record: CaseRecord) throws {
        guard (order.emergency, order.severity) != (record.emergency, record.severity) else { return }
        guard var slot = slots[order.crewID] else { throw NeighbourWasQuicker() }
        var changed = order
        changed.emergency = record.emergency
        changed.severity = record.severity
        try changes.change(changed, from: order, responsible: record.responsibleDistrictID, cause: cause)
        if changed.isActive {
            slot.job = CrewClaim.Job(
                orderID: order.orderID, emergency: changed.emergency, severity: changed.severity, state: order.state)
        } else if order.isActive {
            // An emergency that nobody had started becomes a place in the crew's list.
            slot.job = nil
            slot.freeSince = max(slot.freeSince, now)
            slot.listed += 1
            changes.periods.append(OrderStore.closePeriod(order.orderID, at: now))
        }
        save(slot)
    }

    // MARK: - Crews

    /// - Parameter offer: the crew that the dispatcher wants, with its slot locked; nil: whom the queue finds.
    mutating func reassign(to offer: CrewOffer?) throws {
        guard record.needsCrew || record.state == .dispatched else {
            throw Problem.refused(CaseLifecycle.next(after: .dispatch, in: record.state))
        }
        let formerCrew = order?.crewID
        try takeOrderBack(CaseDecision.reassign(nil).reason)
        guard let offer else {
            return requeue(excluding: formerCrew.map { [$0] } ?? [])
        }
        guard var slot = slots[offer.candidate.crewID] else { throw NeighbourWasQuicker() }
        let demand = CrewClaim.Demand(
            caseID: record.caseID, districtID: record.districtID, emergency: record.emergency,
            severity: record.severity, skills: Set(terms(record.category)?.skills ?? []))
        switch CrewClaim.fit(offer.with(slot), for: demand) {
        case .free: break
        case .displaces:
            throw Problem.conflict(
                code: "has_emergency", "This crew has another emergency. Take that one back first.",
                zh: "该班组正在处理另一紧急案件，请先调整该案件。")
        case .unfit(let reason): throw Problem.conflict(code: reason.code, reason.en, zh: reason.zh)
        }
        record.state = try allowed(CaseLifecycle.next(after: .dispatch, in: record.state))
        let reason = CaseDecision.reassign(nil).reason
        let assigned = OrderRecord(
            orderID: WorkOrder.ID(changes.sources.randomUUID(now)), caseID: record.caseID,
            districtID: record.districtID, streetID: record.streetID, crewID: offer.candidate.crewID,
            crewName: offer.name, emergency: record.emergency, severity: record.severity, state: .assigned,
            assignedAt: now, lastStepAt: now, assignedBy: changes.actor, reasonCode: reason.code,
            reasonZH: reason.zh, reasonEN: reason.en, canary: record.canary, version: 1)
        record.crewID = assigned.crewID
        record.orderID = assigned.orderID
        if record.emergency {
            slot.job = CrewClaim.Job(
                orderID: assigned.orderID, emergency: true, severity: record.severity, state: .assigned)
            slot.clearList = slot.clearList || slot.listed > 0
            changes.periods.append(OrderStore.openPeriod(assigned, since: max(now, slot.freeSince)))
        } else {
            slot.listed += 1
        }
        save(slot)
        try changes.assign(assigned, responsible: record.responsibleDistrictID, cause: cause)
        changes.unqueued.append(record.caseID)
    }

    /// The unstarted order of the case, if it has one, goes back. A started one refuses.
    mutating func takeOrderBack(_ reason: Reason) throws {
        guard let order else { return }
        guard var slot = slots[order.crewID] else { throw NeighbourWasQuicker() }
        let state = record.state
        do {
            try Releases.withdraw(
                order, of: &record, reason: reason, now: now, cause: cause, into: &changes)
        } catch let refusal as Refusal {
            throw Problem.conflict(code: refusal.reason.code, refusal.reason.en, zh: refusal.reason.zh)
        }
        // An act that ends the case has set its state already.
        if state != .dispatched { record.state = state }
        if order.isActive {
            slot.job = nil
            slot.freeSince = max(slot.freeSince, now)
        } else {
            slot.listed = max(0, slot.listed - 1)
        }
        save(slot)
    }

    mutating func requeue(excluding crews: [Crew.ID] = []) {
        guard record.needsCrew else { return }
        changes.queued.append(
            QueueRecord(record, skills: terms(record.category)?.skills ?? [], excluded: crews, now: now))
    }

    private mutating func save(_ slot: SlotRecord) {
        slots[slot.crewID] = slot
    }

    // MARK: - States and clocks

    mutating func move(_ act: CaseAct) throws {
        record.state = try allowed(CaseLifecycle.next(after: act, in: record.state, former: record.formerState))
    }

    func allowed<T>(_ result: Result<T, Refusal>) throws -> T {
        switch result {
        case .success(let value): return value
        case .failure: throw Problem.refused(result)
        }
    }

    mutating func end(_ type: EventType = .caseClosed) {
        record.closedAt = now
        record.suspendedAt = nil
        record.formerState = nil
        changes.unqueued.append(record.caseID)
        eventType = type
    }

    mutating func says(_ type: EventType) { eventType = type }

    /// From then until now the case could not be worked on. What had run out before stays run out.
    mutating func pause(since: Timestamp?) {
        guard let since else { return }
        record.pausedSeconds += max(0, Int((now - since).inSeconds))
        setClocks(asOf: since)
    }

    /// - Parameter asOf: see `CaseClocks.recomputed`.
    mutating func setClocks(asOf: Timestamp?) {
        guard let terms = terms(record.category) else { return }
        var times = record.times
        times.due = CaseClocks.recomputed(
            times, terms: terms, storm: storm, paused: .seconds(record.pausedSeconds), asOf: asOf)
        record.times = times
        record.clockLevel = storm
    }

    mutating func remember(formerState: CaseState?) { record.formerState = formerState }

    // MARK: - Writing

    mutating func finish(_ decision: CaseDecision, inputs: [String: JSONValue] = [:]) throws {
        record.reason = decision.reason
        for slot in slots.values.sorted(by: { $0.crewID < $1.crewID }) { changes.slots.append(CrewStore.save(slot)) }
        try changes.change(record, from: before, as: eventType, cause: cause)
        var inputs = inputs
        if let note { inputs["note"] = .string(note) }
        inputs["from"] = .string(before.state.rawValue)
        inputs["to"] = .string(record.state.rawValue)
        changes.decide(
            .act, decision.name, decision.reason, about: record, inputs: inputs,
            ruleVersion: CaseLifecycle.ruleVersion)
    }
}

extension Problem {
    /// 409 that says why the state does not allow it.
    static func refused<T>(_ result: Result<T, Refusal>) -> Problem {
        guard case .failure(let refusal) = result else {
            return .conflict(code: "not_in_this_state", "Not possible in this state.", zh: "当前状态不允许该操作。")
        }
        return .conflict(code: refusal.reason.code, refusal.reason.en, zh: refusal.reason.zh)
    }
}
