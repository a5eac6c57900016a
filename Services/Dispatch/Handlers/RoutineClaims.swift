import Model
import Outbox
import Postgres
import Rules

extension Claiming {
    /// Transactions of one round that are under way at once.
    private static let routineWidth = 2
    /// About so many cases a transaction: one flush for all of them, and crews held no longer than some milliseconds,
    /// since an emergency may be waiting for one of them.
    private static let routineBatch = 20
    /// For a case that somebody acts on just now. Nothing waits for a crew, so that the batches hold no one up.
    private static let routinePatience = "5ms"

    /// The cases of one round that one crew is the nearest for.
    private struct Share: Sendable {
        var crew: Crew.ID
        var cases: [Case.ID]
    }

    /// Works the queue in rounds, until its head has nobody to go to: each case to the list of the nearest crew that has
    /// room. The next head is looked for while this one is listed.
    /// - Parameters:
    ///   - limit: cases of one round.
    ///   - goesOn: asked after each round, with the time that it took.
    /// - Returns: how many cases got a place in a crew's list.
    @discardableResult
    func claimRoutine(limit: Int, goesOn: (Duration) async -> Bool = { _ in true }) async throws -> Int {
        var total = 0
        var head = try await routineHead(limit: limit, passingOver: [])
        while !head.isEmpty {
            let began = ContinuousClock.now
            let cases = head.map(\.case)
            async let next = routineHead(limit: limit, passingOver: cases)
            let claimed = try await list(head)
            guard claimed > 0 else { break }
            total += claimed
            head = try await next
            guard await goesOn(began.duration(to: .now)) else { break }
        }
        return total
    }

    /// A case and the nearest crew that has room for it.
    private struct Pair: Sendable {
        var `case`: Case.ID
        var crew: Crew.ID
    }

    private func routineHead(limit: Int, passingOver listed: [Case.ID]) async throws -> [Pair] {
        let head = QueueStore.routineHead(limit: limit, passingOver: listed)
        return try await database.segment([QueueStore.pinnedPlans, head])[1].map { row in
            Pair(case: try row.decode("case_id"), crew: try row.decode("crew_id"))
        }
    }

    private func list(_ head: [Pair]) async throws -> Int {
        let batches = Self.batches(head)
        return try await withThrowingTaskGroup(of: Int.self) { group in
            var claimed = 0
            for (index, batch) in batches.enumerated() {
                if index >= Self.routineWidth, let count = try await group.next() { claimed += count }
                group.addTask { try await list(batch) }
            }
            for try await count in group { claimed += count }
            return claimed
        }
    }

    /// A crew's cases stay together: two transactions would only pass over one another's crew.
    private static func batches(_ pairs: [Pair]) -> [[Share]] {
        var order: [Crew.ID] = []
        var cases: [Crew.ID: [Case.ID]] = [:]
        for pair in pairs {
            if cases[pair.crew] == nil { order.append(pair.crew) }
            cases[pair.crew, default: []].append(pair.case)
        }
        return order.reduce(into: [[Share]]()) { batches, crew in
            let share = Share(crew: crew, cases: cases[crew] ?? [])
            let size = batches.last?.reduce(0) { $0 + $1.cases.count } ?? routineBatch
            if size < routineBatch { batches[batches.count - 1].append(share) } else { batches.append([share]) }
        }
    }

    private func list(_ batch: [Share]) async throws -> Int {
        do {
            return try await listTogether(batch)
        } catch let error as PostgresError where error.isLockTimeout || error.sqlState == "40P01" {
            // Somebody acts on one of the cases: that one waits, the others need not.
            let parts = batch.flatMap { share in
                batch.count > 1 ? [share] : share.cases.map { Share(crew: share.crew, cases: [$0]) }
            }
            guard parts.count > 1 else { return 0 }
            var claimed = 0
            for part in parts { claimed += try await list([part]) }
            return claimed
        }
    }

    private func listTogether(_ batch: [Share]) async throws -> Int {
        let wanted = batch.flatMap(\.cases).sorted()
        let crews = batch.map(\.crew).sorted()
        let done = try await database.transaction { transaction in
            let rows = try await transaction.send([
                "SELECT set_config('lock_timeout', \(Self.routinePatience), true)",
                QueueStore.lockFree(wanted),
                CrewStore.lockFreeSlots(crews),
                CrewStore.offers(crews),
                "SELECT clock_timestamp()",
                CaseStore.lock(wanted),
            ])
            let waiting = try rows[1].keyed(by: \.caseID) { try QueueRecord($0) }
            let slots = try rows[2].keyed(by: \.crewID) { try SlotRecord($0) }
            let offers = Dictionary(
                uniqueKeysWithValues: try rows[3].map { (try $0.decode("crew_id", as: Crew.ID.self), $0) })
            let now: Timestamp = try rows[4].column()[0]
            let cases = try rows[5].keyed(by: \.caseID) { try CaseRecord($0) }

            var changes = Changes(sources: sources, now: now, actor: "rule:claim")
            var places: [Crew.ID: Int] = [:]
            for share in batch {
                // Held by another transaction, or gone since the look.
                guard var slot = slots[share.crew], let row = offers[share.crew] else { continue }
                for item in share.cases.compactMap({ waiting[$0] }).sorted(by: { $0.priority < $1.priority }) {
                    guard !item.emergency, let record = cases[item.caseID], record.needsCrew else { continue }
                    let offer = try CrewOffer(list: row, slot: slot, for: item)
                    guard let choice = CrewClaim.choose(item.demand, among: [offer.candidate]) else { continue }
                    let order = try assign(record, to: offer, reason: choice.reason, state: .assigned, into: &changes)
                    changes.unqueued.append(record.caseID)
                    slot.listed += 1
                    places[share.crew, default: 0] += 1
                    changes.decide(
                        .claim, "listed", choice.reason, about: record, order: order.orderID,
                        inputs: inputs(item, choice, []), ruleVersion: CrewClaim.ruleVersion)
                }
            }
            guard !places.isEmpty else { return (count: 0, announcements: [Announcement]()) }
            changes.slots.append(CrewStore.addToLists(places))
            try await transaction.commit(try changes.writes() + messaging.announce(changes.announcements))
            return (count: changes.unqueued.count, announcements: changes.announcements)
        }
        if done.count > 0 {
            messaging.committed(done.announcements)
            live.signal()
        }
        return done.count
    }
}
