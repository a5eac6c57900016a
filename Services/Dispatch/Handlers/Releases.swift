import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// How an order ends without being done, and what becomes of its case.
enum Releases {
    static let raised = Reason(
        "case_became_emergency", zh: "案件升为紧急，改派最近班组", en: "The case became an emergency; the nearest crew takes it.")
    static let displaced = Reason(
        "displaced_by_emergency", zh: "班组改派更紧急的案件", en: "The crew was needed for a more severe emergency.")
    static let silent = Reason("crew_was_silent", zh: "班组未在时限内应答", en: "The crew did not answer in time.")
    static let shiftEnded = Reason("shift_ended", zh: "班组下班", en: "The crew's shift ended.")

    /// Takes an unstarted order back: the case is as if it had never been sent. The slot is the caller's to write.
    static func withdraw(
        _ order: OrderRecord, of record: inout CaseRecord, reason: Reason, act: OrderAct = .withdraw, now: Timestamp,
        cause: Changes.Cause = .none, into changes: inout Changes
    ) throws {
        var released = order
        released.state = try OrderLifecycle.next(after: act, in: order.state).get()
        released.releasedAt = now
        released.lastStepAt = now
        released.reason = reason
        try changes.change(released, from: order, responsible: record.responsibleDistrictID, cause: cause)
        if order.isActive { changes.periods.append(OrderStore.closePeriod(order.orderID, at: now)) }
        record.crewID = nil
        record.orderID = nil
        if case .success(let state) = CaseLifecycle.next(after: .release, in: record.state) { record.state = state }
    }
}
