import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// One thing that a crew noted, as its phone sends it.
struct ObservedStep: Sendable, Hashable {
    enum Kind: String, Codable, Sendable, CaseIterable {
        case accept, decline
        case enRoute = "en_route"
        case onSite = "on_site"
        case done, note

        var act: OrderAct? { OrderAct(rawValue: rawValue) }
    }

    var stepID: UUID
    var kind: Kind
    var observedAt: Timestamp
    var basedOn: Int
    var note: String?
    var photos: [String]
    var place: Coordinate?
}

/// What became of it.
struct StepResult: Sendable, Hashable {
    enum Outcome: String, Codable, Sendable, CaseIterable {
        case applied
        /// The order was already further; the time is kept where none was known.
        case late
        /// It cannot be true together with what is known. Kept and shown.
        case contradicting
    }

    var step: ObservedStep
    var outcome: Outcome
    var reason: Reason
    var time: ObservedTime.Decision
    /// Sent before under the same id; nothing was done again.
    var isReplay = false
}

/// Folds a phone's observations over one order, its case and the crew's slot. Pure: what it reads was locked, and what
/// it makes is written by the caller.
struct OrderStepFold {
    private(set) var order: OrderRecord
    private(set) var record: CaseRecord
    private(set) var slot: SlotRecord
    private(set) var results: [StepResult] = []
    /// Clocks that a step of this batch met.
    private(set) var met: [CaseClocks.Clock: Timestamp] = [:]
    /// The order was released and its case needs another crew.
    private(set) var needsOtherCrew = false
    private(set) var opensPeriodAt: Timestamp?
    private(set) var closesPeriodAt: Timestamp?

    /// The crew's other active periods; open ended ones have no end.
    let otherPeriods: [(from: Timestamp, to: Timestamp?)]
    /// What this order would begin meets a period that is not among them.
    let meetsUnseenPeriod: Bool
    let receivedAt: Timestamp
    let offset: Duration?
    let phone: PhoneClock?

    init(
        order: OrderRecord, record: CaseRecord, slot: SlotRecord, otherPeriods: [(from: Timestamp, to: Timestamp?)],
        meetsUnseenPeriod: Bool, receivedAt: Timestamp, offset: Duration?, phone: PhoneClock?
    ) {
        self.order = order
        self.record = record
        self.slot = slot
        self.otherPeriods = otherPeriods
        self.meetsUnseenPeriod = meetsUnseenPeriod
        self.receivedAt = receivedAt
        self.offset = offset
        self.phone = phone
    }

    /// - Parameter rest: what the batch tells after this step and was not handled before.
    mutating func apply(_ step: ObservedStep, before rest: [ObservedStep]) {
        let time = counted(step, after: order.lastStepAt)
        func result(_ outcome: StepResult.Outcome, _ reason: Reason) -> StepResult {
            StepResult(step: step, outcome: outcome, reason: reason, time: time)
        }
        if let note = step.note, !note.isEmpty {
            let notes = [order.notes, note].compactMap { $0 }.joined(separator: "\n")
            order.notes = String(notes.prefix(4_000))
        }
        slot.unanswered = 0
        guard let act = step.kind.act else {
            results.append(result(.applied, Self.noted))
            return
        }
        switch OrderLifecycle.next(after: act, in: order.state) {
        case .failure(let refusal):
            let isOver = order.state.isReleased && !(order.state == .done && fills(act, time.at))
            // Refused, "done" tells nothing about the work: nobody has begun it.
            if !isOver, act != .done { fill(act, time.at) }
            results.append(result(isOver || act == .done ? .contradicting : .late, refusal.reason))
        case .success(let state):
            if !order.state.isStarted, state.isStarted,
                let reason = overlap(from: time.at, to: end(of: state, since: time.at, in: rest))
            {
                results.append(result(.contradicting, reason))
                return
            }
            advance(to: state, by: act, at: time.at)
            results.append(result(.applied, Self.applied))
        }
    }

    /// A step that was handled before, under the same id.
    mutating func repeated(_ result: StepResult) {
        var result = result
        result.isReplay = true
        results.append(result)
    }

    // MARK: - A step that fits

    private mutating func advance(to state: OrderState, by act: OrderAct, at time: Timestamp) {
        let wasActive = order.isActive
        let wasListed = order.isListed
        // A job that was over before the crew's present one began leaves that where it is.
        let isOfOtherJob = slot.job.map { $0.orderID != order.orderID } ?? false
        order.state = state
        order.lastStepAt = max(order.lastStepAt, time)
        fill(act, time)
        if state.isReleased { order.releasedAt = time }

        if order.isActive {
            if !wasActive { opensPeriodAt = time }
            if !isOfOtherJob {
                slot.job = CrewClaim.Job(
                    orderID: order.orderID, emergency: order.emergency, severity: order.severity, state: state)
            }
        } else if wasActive {
            closesPeriodAt = time
            if !isOfOtherJob {
                slot.job = nil
                slot.freeSince = max(slot.freeSince, time)
            }
        }
        if wasListed && !order.isListed { slot.listed = max(0, slot.listed - 1) }
        advanceCase(act)
    }

    private mutating func advanceCase(_ act: OrderAct) {
        let caseAct: CaseAct
        switch act {
        case .enRoute, .onSite: caseAct = .start
        case .done: caseAct = .finish
        case .decline: caseAct = .release
        default: return
        }
        guard record.orderID == order.orderID,
            case .success(let state) = CaseLifecycle.next(after: caseAct, in: record.state)
        else { return }
        record.state = state
        if order.state.isReleased {
            record.crewID = nil
            record.orderID = nil
        }
        needsOtherCrew = act == .decline
    }

    // MARK: - Times

    private func counted(_ step: ObservedStep, after lastStepAt: Timestamp) -> ObservedTime.Decision {
        ObservedTime.decide(
            observedAt: step.observedAt, receivedAt: receivedAt, offset: offset, previous: phone,
            lastServerStepAt: lastStepAt)
    }

    /// When the order will be over by what the batch still tells; nil if it tells no end.
    private func end(of state: OrderState, since start: Timestamp, in rest: [ObservedStep]) -> Timestamp? {
        var state = state
        var lastStepAt = max(order.lastStepAt, start)
        for step in rest {
            guard let act = step.kind.act, case .success(let next) = OrderLifecycle.next(after: act, in: state)
            else { continue }
            let at = counted(step, after: lastStepAt).at
            if next.isReleased { return at }
            state = next
            lastStepAt = max(lastStepAt, at)
        }
        return nil
    }

    /// Whether the step would tell a time that is not known yet.
    private func fills(_ act: OrderAct, _ time: Timestamp) -> Bool {
        switch act {
        case .accept: order.acceptedAt == nil
        case .enRoute: order.enRouteAt == nil
        case .onSite: order.onSiteAt == nil
        default: false
        }
    }

    private mutating func fill(_ act: OrderAct, _ time: Timestamp) {
        switch act {
        case .accept: order.acceptedAt = order.acceptedAt ?? time
        case .enRoute: order.enRouteAt = order.enRouteAt ?? time
        case .onSite: order.onSiteAt = order.onSiteAt ?? time
        case .done: order.doneAt = order.doneAt ?? time
        default: return
        }
        // What an order that is done tells late is about its case only until that is taken up again.
        let isSolvedByThis = order.state == .done && record.orderID == nil
        guard record.orderID == order.orderID || isSolvedByThis && [.verification, .closed].contains(record.state)
        else { return }
        meet(.respond, time)
        if act == .onSite || act == .done { meet(.arrive, time) }
        if act == .done { meet(.resolve, time) }
    }

    private mutating func meet(_ clock: CaseClocks.Clock, _ time: Timestamp) {
        switch clock {
        case .respond where record.respondedAt.map({ time < $0 }) ?? true: record.respondedAt = time
        case .arrive where record.arrivedAt.map({ time < $0 }) ?? true: record.arrivedAt = time
        case .resolve where record.resolvedAt == nil: record.resolvedAt = time
        default: return
        }
        met[clock] = time
    }

    /// Another job binds the crew, or bound it while this one is said to have been under way. Batches come in any order,
    /// so a job that is over may be told after the one that followed it.
    private func overlap(from start: Timestamp, to end: Timestamp?) -> Reason? {
        if meetsUnseenPeriod { return Self.overlapping }
        if end == nil, let job = slot.job, job.orderID != order.orderID { return Self.overlapping }
        let clashes = otherPeriods.contains { period in
            let isOverBefore = period.to.map { $0 <= start } ?? false
            let beginsAfter = period.from > start && (end.map { period.from >= $0 } ?? false)
            return !isOverBefore && !beginsAfter
        }
        return clashes ? Self.overlapping : nil
    }

    static let applied = Reason("applied", zh: "已采纳", en: "Applied.")
    static let noted = Reason("noted", zh: "已记录", en: "Noted.")
    static let overlapping = Reason(
        "overlaps_other_job", zh: "与该班组另一项作业的时间重叠，已保留供核对",
        en: "Overlaps another job of this crew; kept for somebody to look at.")
}
