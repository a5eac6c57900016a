import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// A dispatcher's decisions about cases: look without locks to learn what has to be locked, lock all of it in the order
/// that holds everywhere, look again, decide, write. The look is under the dispatcher's own scope; what follows is not,
/// since a crew that is lent to the district stays a row of its own district.
struct CaseActs: Sendable {
    let transacting: Transacting
    let categories: CategoryCache

    struct Order: Sendable {
        var caseID: Case.ID
        var decision: CaseDecision
        /// The version that the dispatcher saw.
        var basedOn: Int
        var note: String?
        var actor: String
        var trace: String
        var districts: DistrictScope
        var covers: @Sendable (District.ID) -> Bool
    }

    func carryOut(_ act: Order, claim: SQL, complete: (CaseRecord) throws -> SQL) async throws -> CaseRecord {
        try await transacting.decide(scope: act.districts) { transaction in
            var wanted = [act.caseID]
            if case .merge(let target) = act.decision { wanted.append(target) }
            var looked = try await transaction.send([claim, CaseStore.read(wanted)])[1].map { try CaseRecord($0) }
            guard let seen = looked.first(where: { $0.caseID == act.caseID }), act.covers(seen.districtID) else {
                throw Problem.notFound("The case", zh: "案件")
            }
            if case .merge(let target) = act.decision, !looked.contains(where: { $0.caseID == target }) {
                throw Self.unknownTarget
            }
            if case .unmerge = act.decision, let holder = try await holder(of: seen, transaction) {
                looked.append(holder)
                wanted.append(holder.caseID)
            }
            let locked = try await lock(act, seen: seen, looked: looked, cases: wanted, transaction)
            guard locked.record.version == act.basedOn else {
                throw Problem.preconditionFailed(current: locked.record.version)
            }
            var desk = CaseDesk(
                record: locked.record, order: locked.order, slots: locked.slots, storm: locked.storm, note: act.note,
                cause: Changes.Cause(traceparent: act.trace),
                changes: Changes(sources: transacting.sources, now: locked.now, actor: act.actor),
                terms: { [categories] in categories.terms($0) })
            try apply(act.decision, locked, to: &desk)
            try desk.finish(act.decision, inputs: locked.target.map { ["other_case": $0.caseID.json] } ?? [:])
            guard let written = desk.changes.cases[act.caseID] else { throw NeighbourWasQuicker() }
            try await transaction.commit(
                try desk.changes.writes() + transacting.messaging.announce(desk.changes.announcements)
                    + [complete(written)])
            return (written, desk.changes.announcements)
        }
    }

    private func apply(_ decision: CaseDecision, _ locked: Locked, to desk: inout CaseDesk) throws {
        switch decision {
        case .reject: try desk.reject()
        case .close: try desk.close()
        case .suspend: try desk.suspend()
        case .resume: try desk.resume()
        case .reopen: try desk.reopen()
        case .verify(let passed): try desk.verify(passed: passed)
        case .priority(let emergency, let severity): try desk.setPriority(emergency: emergency, severity: severity)
        case .reassign(let crew):
            if crew != nil, locked.offer == nil {
                throw Problem.invalid("crew_id", code: "unknown", "There is no such crew.", zh: "班组不存在。")
            }
            try desk.reassign(to: locked.offer)
        case .merge(let target):
            guard let into = locked.target, into.caseID == target else { throw Self.unknownTarget }
            try desk.merge(into: into, targetOrder: locked.targetOrder)
        case .unmerge:
            guard let from = locked.target else {
                throw Problem.refused(CaseLifecycle.next(after: .unmerge, in: locked.record.state))
            }
            try desk.unmerge(from: from, reports: locked.ownReports)
        }
    }

    /// The case that has the reports of a merged one: what that was merged into, or what this was merged into since.
    private func holder(of merged: CaseRecord, _ transaction: PostgresTransaction) async throws -> CaseRecord? {
        var next = merged.mergedInto
        for _ in 0..<32 {
            guard let id = next else { return nil }
            let rows = try await transaction.send([CaseStore.read([id])], scope: .city)[0]
            guard let record = try rows.first.map({ try CaseRecord($0) }) else { return nil }
            if record.state != .merged { return record }
            next = record.mergedInto
        }
        return nil
    }

    private static var unknownTarget: Problem {
        .invalid("into", code: "unknown", "There is no such case.", zh: "目标案件不存在。")
    }

    // MARK: - Locks

    struct Locked {
        var record: CaseRecord
        var order: OrderRecord?
        var target: CaseRecord?
        var targetOrder: OrderRecord?
        var slots: [Crew.ID: SlotRecord]
        var offer: CrewOffer?
        var storm: StormLevel
        var ownReports: ReportStateStore.Share?
        var now: Timestamp
    }

    private func lock(
        _ act: Order, seen: CaseRecord, looked: [CaseRecord], cases: [Case.ID], _ transaction: PostgresTransaction
    ) async throws -> Locked {
        var crews = Set(looked.compactMap(\.crewID))
        var wantedCrew: Crew.ID?
        if case .reassign(let crew?) = act.decision {
            wantedCrew = crew
            crews.insert(crew)
        }
        var statements: [SQL] = []
        if act.decision.movesReports {
            let cells = looked.flatMap { record in
                Cell.touched(
                    by: record.place, radius: categories.terms(record.category)?.mergeRadius ?? Metres(100)
                ).map { AdvisoryLock.cell(x: Int($0.x), y: Int($0.y), group: record.categoryGroup) }
            }
            statements.append(AdvisoryLock.statement(cells, waits: true))
        }
        statements += [
            QueueStore.lock(cases), CrewStore.lockSlots(crews.sorted()), CaseStore.lock(cases),
            OrderStore.lockOpen(of: cases), CategoryStore.stormLevels([seen.districtID]), "SELECT clock_timestamp()",
        ]
        let first = statements.count - 5
        if let wantedCrew { statements.append(CrewStore.offers([wantedCrew])) }
        if case .unmerge = act.decision {
            statements.append(ReportStateStore.share(of: act.caseID, in: cases.first { $0 != act.caseID }))
        }
        let rows = try await transaction.send(statements, scope: .city)

        let records = try rows[first + 1].map { try CaseRecord($0) }
        let orders = try rows[first + 2].map { try OrderRecord($0) }
        let slots = try rows[first].keyed(by: \.crewID) { try SlotRecord($0) }
        guard let record = records.first(where: { $0.caseID == act.caseID }) else {
            throw Problem.notFound("The case", zh: "案件")
        }
        // A crew that came between the look and the locks: begin again.
        guard orders.allSatisfy({ slots[$0.crewID] != nil }) else { throw NeighbourWasQuicker() }
        let target = records.first { $0.caseID != act.caseID }
        var offer: CrewOffer?
        if let wantedCrew, let row = rows[first + 5].first, let slot = slots[wantedCrew] {
            offer = try CrewOffer(list: row, slot: slot, for: QueueRecord(record, skills: [], now: record.openedAt))
        }
        var share: ReportStateStore.Share?
        if case .unmerge = act.decision { share = try rows[rows.count - 1].first.map { try .init($0) } }
        return Locked(
            record: record, order: orders.first { $0.caseID == record.caseID }, target: target,
            targetOrder: orders.first { $0.caseID == target?.caseID }, slots: slots, offer: offer,
            storm: try rows[first + 3].first?.decode("level") ?? .none, ownReports: share,
            now: try rows[first + 4].column()[0])
    }
}
