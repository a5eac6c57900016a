import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// Merge and its undoing: membership moves, nothing is copied.
extension CaseDesk {
    mutating func merge(into target: CaseRecord, targetOrder: OrderRecord?) throws {
        guard target.districtID == record.districtID else {
            throw Problem.conflict(
                code: "other_district", "Cases of two districts are not merged.", zh: "不同行政区的案件不能合并。")
        }
        guard !target.state.isTerminal else {
            throw Problem.conflict(code: "target_is_over", "The target is over; reopen it first.", zh: "目标案件已结束，请先重开。")
        }
        let former = record.state == .dispatched ? .filed : record.state
        pause(since: record.suspendedAt)
        try move(.merge)
        try takeOrderBack(CaseDecision.merge(into: target.caseID).reason)
        record.state = .merged
        record.mergedInto = target.caseID
        end(.caseMerged)
        remember(formerState: former)

        var into = target
        into.reportCount += record.reportCount
        into.lastReportAt = max(into.lastReportAt, record.lastReportAt)
        into.personAtRisk = into.personAtRisk || record.personAtRisk
        into.severity = max(into.severity, record.severity)
        into.verified = into.verified || record.verified
        into.devices = Array((into.devices + record.devices.filter { !into.devices.contains($0) }).prefix(8))
        into.reason = CaseDecision.merge(into: target.caseID).reason
        if record.openedAt < into.openedAt {
            // The problem is as old as its first report.
            into.openedAt = record.openedAt
            var desk = self
            desk.record = into
            desk.setClocks(asOf: nil)
            into = desk.record
        }
        record.reportCount = 0
        into.emergency = into.emergency || record.emergency
        try makeUrgent(&into, from: target, order: targetOrder)
        try changes.change(into, from: target, cause: cause)
        changes.others.append(ReportStateStore.move(from: record.caseID, to: target.caseID))
    }

    /// What the case took in may be more urgent than itself: its place in the queue or its order says so too. A routine
    /// order that nobody has started is taken back if the case has become an emergency.
    private mutating func makeUrgent(
        _ into: inout CaseRecord, from target: CaseRecord, order: OrderRecord?
    ) throws {
        let skills = terms(into.category)?.skills ?? []
        guard let order else {
            if into.needsCrew { changes.queued.append(QueueRecord(into, skills: skills, now: now)) }
            return
        }
        guard into.emergency, !target.emergency, !order.state.isStarted else {
            return try bring(order, inLineWith: into)
        }
        guard var slot = slots[order.crewID] else { throw NeighbourWasQuicker() }
        try Releases.withdraw(order, of: &into, reason: Releases.raised, now: now, cause: cause, into: &changes)
        slot.listed = max(0, slot.listed - 1)
        slots[slot.crewID] = slot
        changes.queued.append(QueueRecord(into, skills: skills, now: now))
    }

    mutating func unmerge(from target: CaseRecord, reports: ReportStateStore.Share?) throws {
        record.state = try allowed(
            CaseLifecycle.next(after: .unmerge, in: record.state, former: record.formerState))
        record.mergedInto = nil
        record.formerState = nil
        // While it was merged nobody could work on it by itself.
        let merged = record.closedAt
        record.closedAt = nil
        record.reportCount = reports?.count ?? 0
        pause(since: merged)
        says(.caseUnmerged)
        requeue()
        var from = target
        from.reportCount = max(0, from.reportCount - record.reportCount)
        if let openedAt = reports?.othersFrom, openedAt != from.openedAt {
            // It is as old as the reports that stay.
            from.openedAt = openedAt
            var desk = self
            desk.record = from
            desk.setClocks(asOf: nil)
            from = desk.record
        }
        from.reason = CaseDecision.unmerge.reason
        try changes.change(from, from: target, cause: cause)
        changes.others.append(ReportStateStore.moveBack(to: record.caseID))
    }
}
