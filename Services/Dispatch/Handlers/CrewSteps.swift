import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// Takes a crew's observations about one order. They need no If-Match: each is applied, or kept as late or
/// contradicting, and none is dropped.
struct CrewSteps: Sendable {
    let transacting: Transacting
    let categories: CategoryCache

    struct Batch: Sendable {
        var steps: [ObservedStep]
        /// Which phone, and what its clock says as it sends.
        var device: String?
        var deviceClock: Timestamp?
    }

    struct Answer: Sendable {
        var order: OrderRecord
        var results: [StepResult]
    }

    /// - Parameter complete: the statement that stores the answer under the idempotency key.
    func take(
        _ batch: Batch, order orderID: WorkOrder.ID, crew: CrewScope, account: Account.ID, trace: String,
        claim: SQL, complete: (Answer) throws -> SQL
    ) async throws -> Answer {
        do {
            return try await take(
                batch, order: orderID, crew: crew, account: account, trace: trace, meetsUnseenPeriod: false,
                claim: claim, complete: complete)
        } catch let error as PostgresError where error.isExclusionViolation(constraint: OrderStore.periodsAlone) {
            // Looking again has not shown with what it overlaps: a job in a district that the crew no longer sees, since
            // its loan is over. It is kept as contradicting like any other, else the phone could never deliver it.
            return try await take(
                batch, order: orderID, crew: crew, account: account, trace: trace, meetsUnseenPeriod: true,
                claim: claim, complete: complete)
        }
    }

    private func take(
        _ batch: Batch, order orderID: WorkOrder.ID, crew: CrewScope, account: Account.ID, trace: String,
        meetsUnseenPeriod: Bool, claim: SQL, complete: (Answer) throws -> SQL
    ) async throws -> Answer {
        try await transacting.decide(scope: .districts(crew.districts)) { transaction in
            let rows = try await transaction.send(
                [claim, CrewStore.lockSlots([crew.crewID]), CaseStore.lockCase(of: orderID, crew: crew.crewID)]
                    + [
                        OrderStore.lock([orderID]),
                        StepStore.known(batch.steps.map(\.stepID), crew: crew.crewID),
                        CrewStore.phoneClock(crew.crewID, device: batch.device ?? ""),
                        OrderStore.recentPeriods(of: crew.crewID, besides: orderID),
                        "SELECT clock_timestamp()",
                    ])
            guard let order = try rows[3].first.map({ try OrderRecord($0) }), order.crewID == crew.crewID,
                let record = try rows[2].first.map({ try CaseRecord($0) }),
                let slot = try rows[1].first.map({ try SlotRecord($0) })
            else { throw Problem.notFound("The order", zh: "工单") }
            let now: Timestamp = try rows[7].column()[0]
            var fold = OrderStepFold(
                order: order, record: record, slot: slot,
                otherPeriods: try rows[6].map { (from: try $0.decode("from"), to: try $0.decode("to")) },
                meetsUnseenPeriod: meetsUnseenPeriod, receivedAt: now, offset: batch.deviceClock.map { now - $0 },
                phone: try rows[5].first.map { try PhoneClock($0) })
            let known = try rows[4].keyed(by: \.step.stepID) { try StepStore.result($0) }
            for (index, step) in batch.steps.enumerated() {
                if let earlier = known[step.stepID] {
                    fold.repeated(earlier)
                } else {
                    fold.apply(step, before: batch.steps[(index + 1)...].filter { known[$0.stepID] == nil })
                }
            }
            var changes = Changes(
                sources: transacting.sources, now: now, actor: "account:\(account)")
            let written = try write(
                fold, before: (order, record, slot), account: account, crew: crew, batch: batch, trace: trace,
                into: &changes)
            let answer = Answer(order: written, results: fold.results)
            try await transaction.commit(
                try changes.writes() + transacting.messaging.announce(changes.announcements) + [complete(answer)])
            return (answer, changes.announcements)
        }
    }

    private func write(
        _ fold: OrderStepFold, before: (order: OrderRecord, record: CaseRecord, slot: SlotRecord),
        account: Account.ID, crew: CrewScope, batch: Batch, trace: String, into changes: inout Changes
    ) throws -> OrderRecord {
        let cause = Changes.Cause(traceparent: trace)
        let new = fold.results.filter { !$0.isReplay }
        let observedAt = new.last?.step.observedAt
        var order = fold.order
        var record = fold.record
        if let reason = new.last(where: { $0.outcome == .applied && $0.step.kind != .note })?.step.kind.reason {
            order.reason = reason
            record.reason = reason
        }
        if record != before.record {
            try changes.change(record, from: before.record, cause: cause, observedAt: observedAt)
            if fold.needsOtherCrew, record.needsCrew {
                changes.queued.append(
                    QueueRecord(
                        record, skills: categories.terms(record.category)?.skills ?? [], excluded: [crew.crewID],
                        now: changes.now))
            }
            try withdrawMarks(fold, before: before.record, into: &changes)
        }
        if order != before.order {
            try changes.change(
                order, from: before.order, responsible: record.responsibleDistrictID, cause: cause,
                observedAt: observedAt)
            order.version = before.order.version + 1
        }
        if fold.slot != before.slot { changes.slots.append(CrewStore.save(fold.slot)) }
        if let since = fold.opensPeriodAt {
            // In one statement: left open for a moment, it would meet a job that the crew began after it.
            changes.periods.append(OrderStore.openPeriod(order, since: since, until: fold.closesPeriodAt))
        } else if let at = fold.closesPeriodAt {
            changes.periods.append(OrderStore.closePeriod(order.orderID, at: at))
        }
        changes.others += try StepStore.insert(
            new, order: order, account: account, offset: fold.offset, receivedAt: fold.receivedAt)
        if let device = batch.device, let offset = fold.offset {
            changes.others.append(
                CrewStore.savePhoneOffset(
                    crew.crewID, home: crew.home, device: device, offset: offset, at: changes.now))
        }
        if let last = new.last(where: { $0.step.place != nil }), let place = last.step.place {
            changes.others.append(
                CrewStore.savePosition(
                    crew.crewID, home: crew.home, at: place, observedAt: last.time.at, receivedAt: changes.now))
        }
        return order
    }

    /// A clock that was met in time after all, though a mark says otherwise.
    private func withdrawMarks(
        _ fold: OrderStepFold, before: CaseRecord, into changes: inout Changes
    ) throws {
        for (clock, at) in fold.met.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            guard let due = before.times.due[clock], at <= due, changes.now > due else { continue }
            let reason = CaseClocks.withdrawalReason(clock)
            changes.others.append(DueStore.withdraw(before.caseID, clock, reason: reason, now: changes.now))
            changes.decide(
                .observation, "overdue_withdrawn", reason, about: before, order: fold.order.orderID,
                inputs: [
                    "clock": .string(clock.rawValue), "due": .string(due.description), "met": .string(at.description),
                ], ruleVersion: CaseClocks.ruleVersion)
        }
    }
}

extension ObservedStep.Kind {
    /// What an order and its case say after such a step.
    var reason: Reason? {
        switch self {
        case .accept: Reason("crew_accepted", zh: "班组已接单", en: "The crew has accepted.")
        case .decline: Reason("crew_declined", zh: "班组退回工单", en: "The crew has handed it back.")
        case .enRoute: Reason("crew_en_route", zh: "班组已出发", en: "The crew is on its way.")
        case .onSite: Reason("crew_on_site", zh: "班组已到场", en: "The crew is on site.")
        case .done: Reason("crew_done", zh: "班组报告处置完成", en: "The crew says that it is done.")
        case .note: nil
        }
    }
}
