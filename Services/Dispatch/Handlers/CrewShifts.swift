import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// When a crew works. A shift makes its slot claimable; its end gives back what was not started.
struct CrewShifts: Sendable {
    let transacting: Transacting
    let categories: CategoryCache

    struct Record: Presentable {
        var shiftID: Shift.ID
        var crewID: Crew.ID
        var startedAt: Timestamp
        var endedAt: Timestamp?

        static let shown: [ShownField<Record>] = [
            .init("shift_id", .uuid) { $0.shiftID },
            .init("crew_id", .uuid) { $0.crewID },
            .init("started_at", .time) { $0.startedAt },
            .init("ended_at", .nullable(.time)) { $0.endedAt },
        ]
    }

    func start(
        _ crew: CrewScope, account: Account.ID, at place: Coordinate?, device: String?, deviceClock: Timestamp?,
        claim: SQL, complete: (Record) throws -> SQL
    ) async throws -> Record {
        let record = try await transacting.decide(scope: .districts(crew.districts)) { transaction in
            let rows = try await transaction.send([
                claim, CrewStore.lockSlots([crew.crewID]), "SELECT clock_timestamp()",
            ])
            guard var slot = try rows[1].first.map({ try SlotRecord($0) }) else {
                throw Problem.notFound("The crew", zh: "班组")
            }
            guard slot.shiftID == nil else {
                throw Problem.conflict(
                    code: "shift_is_open", "The crew is on shift already.", zh: "班组已在班。")
            }
            let now: Timestamp = try rows[2].column()[0]
            let record = Record(
                shiftID: Shift.ID(transacting.sources.randomUUID(now)), crewID: crew.crewID, startedAt: now)
            slot.shiftID = record.shiftID
            slot.unanswered = 0
            if slot.job == nil { slot.freeSince = max(slot.freeSince, now) }
            var statements = [
                CrewStore.save(slot),
                ShiftStore.insert(record.shiftID, crew: crew.crewID, home: crew.home, account: account, at: now),
            ]
            if let place {
                statements.append(
                    CrewStore.savePosition(crew.crewID, home: crew.home, at: place, observedAt: now, receivedAt: now))
            }
            if let device, let deviceClock {
                statements.append(
                    CrewStore.savePhoneOffset(
                        crew.crewID, home: crew.home, device: device, offset: now - deviceClock, at: now))
            }
            try await transaction.commit(statements + [complete(record)])
            return (record, [])
        }
        transacting.claims.signal()
        return record
    }

    func end(
        _ shiftID: Shift.ID, _ crew: CrewScope, trace: String, actor: String, claim: SQL,
        complete: (Record) throws -> SQL
    ) async throws -> Record {
        try await transacting.decide(scope: .districts(crew.districts)) { transaction in
            let rows = try await transaction.send([
                claim, CrewStore.lockSlots([crew.crewID]), CaseStore.lockActive(of: crew.crewID),
                OrderStore.lockActive(of: crew.crewID), ShiftStore.find(shiftID, crew: crew.crewID),
                "SELECT clock_timestamp()",
            ])
            guard var slot = try rows[1].first.map({ try SlotRecord($0) }), let shift = rows[4].first else {
                throw Problem.notFound("The shift", zh: "班次")
            }
            guard slot.shiftID == shiftID else {
                throw Problem.conflict(code: "shift_is_over", "The shift is over already.", zh: "班次已结束。")
            }
            if slot.job?.state.isStarted == true {
                throw Problem.conflict(
                    code: "job_is_started", "Finish the job that is under way, or hand it back.",
                    zh: "请先完成或退回正在进行的作业。")
            }
            let now: Timestamp = try rows[5].column()[0]
            var changes = Changes(sources: transacting.sources, now: now, actor: actor)
            if let order = try rows[3].first.map({ try OrderRecord($0) }),
                let before = try rows[2].first.map({ try CaseRecord($0) })
            {
                var after = before
                let cause = Changes.Cause(traceparent: trace)
                try Releases.withdraw(
                    order, of: &after, reason: Releases.shiftEnded, now: now, cause: cause, into: &changes)
                after.reason = Releases.shiftEnded
                try changes.change(after, from: before, cause: cause)
                if after.needsCrew {
                    changes.queued.append(
                        QueueRecord(after, skills: categories.terms(after.category)?.skills ?? [], now: now))
                }
                slot.job = nil
                slot.freeSince = max(slot.freeSince, now)
            }
            slot.shiftID = nil
            slot.clearList = slot.clearList || slot.listed > 0
            changes.slots.append(CrewStore.save(slot))
            changes.others.append(ShiftStore.end(shiftID, at: now))
            let record = Record(
                shiftID: shiftID, crewID: crew.crewID, startedAt: try shift.decode("started_at"), endedAt: now)
            try await transaction.commit(
                try changes.writes() + transacting.messaging.announce(changes.announcements) + [complete(record)])
            return (record, changes.announcements)
        }
    }
}
