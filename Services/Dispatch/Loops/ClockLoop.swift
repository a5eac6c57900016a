import FoundationEssentials
import Logging
import Model
import Outbox
import Postgres
import Rules
import ServiceLifecycle

/// Marks clocks that have run out, from durable rows, and sets clocks anew when a district's storm level has changed.
struct ClockLoop: Service {
    let database: PostgresClient
    let messaging: Messaging
    let categories: CategoryCache
    let live: Wake
    let interval: Duration
    let logger: Logger

    func run() async throws {
        await repeatUntilShutdown(every: interval) {
            do {
                while try await markOverdue(limit: 100) == 100, !Task.isShuttingDownGracefully {}
                try await followStorm()
            } catch {
                logger.warning("clocks stopped early", metadata: ["error": "\(error)"])
            }
        }
    }

    // MARK: - Overdue

    /// - Returns: how many due rows were ripe.
    @discardableResult
    func markOverdue(limit: Int) async throws -> Int {
        let now = messaging.sources.now()
        let ripe = try await database.query(DueStore.ripe(now: now, limit: limit)).column(Case.ID.self)
        guard !ripe.isEmpty else { return 0 }
        let announcements = try await database.transaction { transaction -> [Announcement] in
            let rows = try await transaction.send([CaseStore.lock(ripe), DueStore.marks(of: ripe)])
            let marked = Set(
                try rows[1].map { row in
                    Mark(
                        caseID: try row.decode("case_id"), clock: try row.decode("clock"), due: try row.decode("due_at")
                    )
                })
            var changes = Changes(sources: messaging.sources, now: now, actor: "rule:clocks")
            let records = try rows[0].map { try CaseRecord($0) }
            for record in records {
                let due = record.nextDue == nil ? [] : CaseClocks.overdue(record.times, now: now)
                let new = due.filter { clock in
                    guard let at = record.times.due[clock] else { return false }
                    return !marked.contains(Mark(caseID: record.caseID, clock: clock.rawValue, due: at))
                }
                guard let last = new.last else { continue }
                for clock in new {
                    guard let at = record.times.due[clock] else { continue }
                    changes.others.append(DueStore.mark(record, clock, due: at, now: now))
                    changes.decide(
                        .overdue, clock.rawValue, CaseClocks.overdueReason(clock), about: record,
                        inputs: ["due": .string(at.description), "storm": .string(record.clockLevel.rawValue)],
                        ruleVersion: CaseClocks.ruleVersion)
                }
                var after = record
                after.reason = CaseClocks.overdueReason(last)
                try changes.change(after, from: record, as: .caseOverdue)
            }
            // All rows move on to their next clock, also those that had nothing new to say, or they would be ripe for ever.
            try await transaction.commit(
                try changes.writes() + DueStore.set(records, markedUntil: now) + DueStore.dropOrphans(ripe)
                    + messaging.announce(changes.announcements))
            return changes.announcements
        }
        messaging.committed(announcements)
        if !announcements.isEmpty { live.signal() }
        return ripe.count
    }

    private struct Mark: Hashable {
        var caseID: Case.ID
        var clock: String
        var due: Timestamp
    }

    // MARK: - Storm

    func followStorm() async throws {
        for row in try await database.query(StormStore.unapplied) {
            let district: District.ID = try row.decode("district_id")
            let level: StormLevel = try row.decode("level")
            let version: Int = try row.decode("version")
            var last: Case.ID?
            repeat {
                last = try await recompute(district: district, level: level, after: last)
            } while last != nil && !Task.isShuttingDownGracefully
            if last == nil { try await database.query(StormStore.applied(district, version: version)) }
        }
    }

    /// - Returns: the last case of the batch; nil when none is left.
    private func recompute(district: District.ID, level: StormLevel, after last: Case.ID?) async throws -> Case.ID? {
        let done = try await database.transaction { transaction -> (last: Case.ID?, announcements: [Announcement]) in
            let rows = try await transaction.query(
                CaseStore.withOtherLevel(level, district: district, after: last, limit: 200))
            let records = try rows.map { try CaseRecord($0) }
            let now = messaging.sources.now()
            var changes = Changes(sources: messaging.sources, now: now, actor: "rule:clocks")
            for record in records {
                var after = record
                after.clockLevel = level
                if let terms = categories.terms(record.category) {
                    var times = record.times
                    times.due = CaseClocks.recomputed(
                        times, terms: terms, storm: level, paused: .seconds(record.pausedSeconds), asOf: now)
                    after.times = times
                }
                after.reason = Self.stormChanged
                try changes.change(after, from: record)
                changes.decide(
                    .clock, "recomputed", Self.stormChanged, about: after,
                    inputs: ["from": .string(record.clockLevel.rawValue), "to": .string(level.rawValue)],
                    ruleVersion: CaseClocks.ruleVersion)
            }
            try await transaction.commit(try changes.writes() + messaging.announce(changes.announcements))
            return (records.last?.caseID, changes.announcements)
        }
        messaging.committed(done.announcements)
        if !done.announcements.isEmpty { live.signal() }
        return done.last
    }

    static let stormChanged = Reason(
        "storm_level_changed", zh: "防汛等级变化，时限已重算", en: "The storm level changed; the clocks were set anew.")
}
