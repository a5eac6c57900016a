import FoundationEssentials
import HTTPTypes
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// When a crew works. A shift makes its slot claimable; its end gives back what was not started.
///
/// Both are observations: with the phone's own id and time they may come late, twice or in the wrong order, and none is
/// refused for that. Of two shifts of a crew the one that began later holds; it ends the other, until that one's own
/// end has come.
struct CrewShifts: Sendable {
    let transacting: Transacting
    let categories: CategoryCache

    /// What a phone says of a beginning or an end.
    struct Observation: Sendable {
        /// By the phone's clock; nil from whoever asks for it now.
        var observedAt: Timestamp?
        var place: Coordinate?
        /// Which phone, and what its clock says as it sends.
        var device: String?
        var deviceClock: Timestamp?
    }

    struct Answer: Sendable {
        var shift: ShiftRecord
        var outcome: ShiftRecord.Told.Outcome
        /// Told before; nothing was done again.
        var isReplay = false
    }

    /// - Parameter id: made by the phone; without one the crew may have no other shift open.
    func start(
        _ id: Shift.ID?, _ observation: Observation, _ crew: CrewScope, account: Account.ID, claim: SQL,
        complete: (Answer) throws -> SQL
    ) async throws -> Answer {
        let shiftID = id ?? transacting.sources.id()
        do {
            let answer = try await transacting.decide(scope: .districts(crew.districts)) { transaction in
                let rows = try await transaction.send([
                    claim, CrewStore.lockSlots([crew.crewID]), ShiftStore.find(shiftID, crew: crew.crewID),
                    CrewStore.phoneClock(crew.crewID, device: observation.device ?? ""), "SELECT clock_timestamp()",
                ])
                guard var slot = try rows[1].first.map({ try SlotRecord($0) }) else {
                    throw Problem.notFound("The crew", zh: "班组")
                }
                let known = try rows[2].first.map { try ShiftRecord($0) }
                let now: Timestamp = try rows[4].column()[0]
                let clock = observation.saveClock(of: crew, now: now)
                if let known, known.startedAt != nil {
                    guard known.start?.observedAt == observation.observedAt, known.place == observation.place else {
                        throw Self.idTaken
                    }
                    let answer = Answer(shift: known, outcome: known.start?.outcome ?? .applied, isReplay: true)
                    try await transaction.commit(clock + [complete(answer)])
                    return (answer, [])
                }
                guard id != nil || slot.shiftID == nil else {
                    throw Problem.conflict(code: "shift_is_open", "The crew is on shift already.", zh: "班组已在班。")
                }
                let time = try observation.time(now: now, previous: rows[3].first, lastStepAt: nil)
                var shift = known ?? ShiftRecord(shiftID: shiftID, crewID: crew.crewID)
                shift.startedAt = min(time.at, shift.endedAt ?? time.at)
                shift.place = observation.place
                // What is heard of now is the latest; what the phone has dated may be from before a later shift.
                if known == nil, time.counted == .observed {
                    shift.endedAt = try await transaction.query(ShiftStore.next(of: crew.crewID, after: time.at)).first
                        .map { try $0.decode("started_at") }
                }
                let outcome: ShiftRecord.Told.Outcome = shift.endedAt == nil ? .applied : .late
                shift.start = observation.told(time, now: now, outcome)
                var statements: [SQL] = []
                if outcome == .applied {
                    slot.shiftID = shiftID
                    slot.unanswered = 0
                    if slot.job == nil { slot.freeSince = max(slot.freeSince, now) }
                    statements = [CrewStore.save(slot), ShiftStore.closeOpen(of: crew.crewID, at: time.at)]
                }
                statements.append(
                    known == nil
                        ? ShiftStore.insert(shift, home: crew.home, account: account) : ShiftStore.setStart(shift))
                if let place = observation.place {
                    statements.append(
                        CrewStore.savePosition(
                            crew.crewID, home: crew.home, at: place, observedAt: observation.seenAt(now: now),
                            receivedAt: now))
                }
                let answer = Answer(shift: shift, outcome: outcome)
                try await transaction.commit(statements + clock + [complete(answer)])
                return (answer, [])
            }
            if answer.outcome == .applied { transacting.claims.signal() }
            return answer
        } catch let error as PostgresError where error.isUniqueViolation(constraint: ShiftStore.constraint) {
            throw Self.idTaken
        }
    }

    func end(
        _ shiftID: Shift.ID, _ observation: Observation, _ crew: CrewScope, account: Account.ID, trace: String,
        claim: SQL, complete: (Answer) throws -> SQL
    ) async throws -> Answer {
        do {
            return try await transacting.decide(scope: .districts(crew.districts)) { transaction in
                let rows = try await transaction.send([
                    claim, CrewStore.lockSlots([crew.crewID]), CaseStore.lockActive(of: crew.crewID),
                    OrderStore.lockActive(of: crew.crewID), ShiftStore.find(shiftID, crew: crew.crewID),
                    CrewStore.phoneClock(crew.crewID, device: observation.device ?? ""), "SELECT clock_timestamp()",
                ])
                let known = try rows[4].first.map { try ShiftRecord($0) }
                // Who tells a time has made the id too, and its start may be still to come.
                guard var slot = try rows[1].first.map({ try SlotRecord($0) }),
                    known != nil || observation.observedAt != nil
                else { throw Self.noShift }
                let now: Timestamp = try rows[6].column()[0]
                let clock = observation.saveClock(of: crew, now: now)
                if let known, let end = known.end {
                    let isReplay = end.observedAt == observation.observedAt
                    let answer = Answer(shift: known, outcome: isReplay ? end.outcome : .late, isReplay: isReplay)
                    try await transaction.commit(clock + [complete(answer)])
                    return (answer, [])
                }
                let isOpen = slot.shiftID == shiftID
                let hasStarted = slot.job?.state.isStarted == true
                guard !isOpen || !hasStarted || observation.observedAt != nil else { throw Self.jobIsStarted }

                let time = try observation.time(now: now, previous: rows[5].first, lastStepAt: known?.startedAt)
                var shift = known ?? ShiftRecord(shiftID: shiftID, crewID: crew.crewID)
                // A later shift may have ended this one; only a time that the phone knows better moves that.
                if isOpen || shift.endedAt == nil || time.counted == .observed {
                    shift.endedAt = max(time.at, shift.startedAt ?? time.at)
                }
                let outcome: ShiftRecord.Told.Outcome = isOpen ? .applied : .late
                shift.end = observation.told(time, now: now, outcome)
                let answer = Answer(shift: shift, outcome: outcome)

                var changes = Changes(sources: transacting.sources, now: now, actor: "account:\(account)")
                if isOpen {
                    if !hasStarted, let order = try rows[3].first.map({ try OrderRecord($0) }),
                        let record = try rows[2].first.map({ try CaseRecord($0) })
                    {
                        try giveBack(order, of: record, trace: trace, into: &changes)
                        slot.job = nil
                        slot.freeSince = max(slot.freeSince, now)
                    }
                    slot.shiftID = nil
                    slot.clearList = slot.clearList || slot.listed > 0
                    changes.slots.append(CrewStore.save(slot))
                }
                changes.others.append(
                    known == nil
                        ? ShiftStore.insert(shift, home: crew.home, account: account) : ShiftStore.setEnd(shift))
                changes.others += clock
                try await transaction.commit(
                    try changes.writes() + transacting.messaging.announce(changes.announcements) + [complete(answer)])
                return (answer, changes.announcements)
            }
        } catch let error as PostgresError where error.isUniqueViolation(constraint: ShiftStore.constraint) {
            throw Self.noShift
        }
    }

    /// The unstarted job that binds the crew; what is in its list goes back outside this transaction.
    private func giveBack(
        _ order: OrderRecord, of before: CaseRecord, trace: String, into changes: inout Changes
    ) throws {
        let cause = Changes.Cause(traceparent: trace)
        var after = before
        try Releases.withdraw(
            order, of: &after, reason: Releases.shiftEnded, now: changes.now, cause: cause, into: &changes)
        after.reason = Releases.shiftEnded
        try changes.change(after, from: before, cause: cause)
        if after.needsCrew {
            changes.queued.append(
                QueueRecord(after, skills: categories.terms(after.category)?.skills ?? [], now: changes.now))
        }
    }

    private static let noShift = Problem.notFound("The shift", zh: "班次")
    private static let jobIsStarted = Problem.conflict(
        code: "job_is_started", "Finish the job that is under way, or hand it back.", zh: "请先完成或退回正在进行的作业。")
    private static let idTaken = Problem(
        .conflict, code: "id_taken", "Another shift has this id. Make a new one.", zh: "该标识已用于另一班次，请换用新的标识。",
        fields: [FieldError("id", code: "taken", "Another shift has this id.", zh: "该标识已用于另一班次。")])
}

extension CrewShifts.Observation {
    fileprivate func time(now: Timestamp, previous: Row?, lastStepAt: Timestamp?) throws -> ObservedTime.Decision {
        ObservedTime.decide(
            observedAt: observedAt, receivedAt: now, offset: deviceClock.map { now - $0 },
            previous: try previous.map { try PhoneClock($0) }, lastServerStepAt: lastStepAt)
    }

    fileprivate func told(
        _ time: ObservedTime.Decision, now: Timestamp, _ outcome: ShiftRecord.Told.Outcome
    ) -> ShiftRecord.Told {
        ShiftRecord.Told(
            observedAt: observedAt, receivedAt: now, counted: time.counted, countedReason: time.reason.code,
            outcome: outcome)
    }

    /// When the crew was at the place: corrected by the phone's clock like any position, and never later than now.
    fileprivate func seenAt(now: Timestamp) -> Timestamp {
        guard let observedAt else { return now }
        return min(deviceClock.map { observedAt + (now - $0) } ?? observedAt, now)
    }

    fileprivate func saveClock(of crew: CrewScope, now: Timestamp) -> [SQL] {
        guard let device, let deviceClock else { return [] }
        return [
            CrewStore.savePhoneOffset(crew.crewID, home: crew.home, device: device, offset: now - deviceClock, at: now)
        ]
    }
}
