import FoundationEssentials
import Logging
import Metrics
import Model
import Outbox
import Postgres
import Rules
import ServiceLifecycle

/// Keeps the emergency lane measured when there is no emergency: reports at a steady beat that go the whole way in rows of
/// their own, from here to a crew that is free again at once and a notice that nobody gets. One instance posts them.
struct Canary: Service {
    /// Rounds a second.
    let rate: Double
    let budget: SenderBudget
    let database: PostgresClient
    let messaging: Messaging
    let logger: Logger
    let holder: UUID

    init(rate: Double, budget: SenderBudget, database: PostgresClient, messaging: Messaging, logger: Logger) {
        self.rate = rate
        self.budget = budget
        self.database = database
        self.messaging = messaging
        self.logger = logger
        self.holder = messaging.sources.randomUUID(messaging.sources.now())
    }

    private var store: CanaryStore { CanaryStore(database: database) }

    /// How often the lease is looked at. It lasts four times as long.
    static let look = Duration.milliseconds(500)
    /// While a part of the lane is away, rounds would only pile up in front of it: one now and then finds out.
    static let probe = Duration.seconds(5)

    func run() async throws {
        let clock = ContinuousClock()
        var turn = CanaryStore.Turn(isOurs: false, lags: false)
        var nextLook = clock.now
        var nextProbe = clock.now
        var next = clock.now
        var wasWell = true
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            do {
                if clock.now >= nextLook {
                    nextLook = clock.now + Self.look
                    turn = try await store.takeTurn(holder)
                }
                if turn.isOurs, !turn.lags || clock.now >= nextProbe {
                    nextProbe = clock.now + Self.probe
                    try await post()
                }
                wasWell = true
            } catch {
                turn.isOurs = false
                if wasWell { logger.warning("the canary cannot be posted", metadata: ["error": "\(error)"]) }
                wasWell = false
            }
            // At a steady beat, but never two at once to catch up.
            next = max(next + .seconds(1 / rate), clock.now)
            let pause = turn.isOurs ? next - clock.now : Self.look
            await cancelWhenGracefulShutdown { try? await Task.sleep(for: pause) }
        }
        if turn.isOurs { try? await store.endTurn(holder) }
    }

    /// One round: what an anonymous emergency does here, statement by statement.
    func post() async throws {
        let sources = messaging.sources
        let now = sources.now()
        _ = try await BudgetStore(database: database).spend(device: Self.device, prefix: nil, budget: budget)
        let record = Self.record(id: Report.ID(sources.randomUUID(now)), at: now)
        let snapshot = ReportSnapshot(
            reportID: record.id, districtID: record.districtID, kind: record.kind, category: record.category,
            channel: record.channel, emergency: true, severity: record.decision.severity, personAtRisk: false,
            verified: true, deviceHash: nil, place: record.place, receivedAt: now, observedAt: now,
            ruleVersion: record.decision.ruleVersion, ruleReason: record.decision.reason.en)
        let event = Event(
            id: EventRecord.ID(sources.randomUUID(now)), source: .intake, type: .reportReceived, time: now,
            district: record.districtID, aggregateID: record.id.rawValue, aggregateVersion: 1, lane: .emergency,
            canary: true, data: try JSONBytes.encode(snapshot))
        let announcement = Announcement(event: event, actor: "system", observedAt: now, receivedAt: now)
        try await database.segment(
            [
                try ReportStatements.insert(record, personID: nil),
                // No person's code leads here: theirs are keyed hashes. The purge finds it again by the report.
                ReportStatements.track(
                    record, codeHash: Self.bytes(record.id.rawValue) + Self.bytes(record.id.rawValue)),
            ] + messaging.announce([announcement]))
        messaging.committed([.emergency])
        Timer(label: "sluice_canary_accepted").record(duration: sources.now() - now)
    }

    private static let device = [UInt8]("canary".utf8)

    private static func bytes(_ id: UUID) -> [UInt8] { withUnsafeBytes(of: id.uuid) { Array($0) } }

    /// An emergency of the lowest severity: where any queue is worked by severity, it comes last.
    static func record(id: Report.ID, at now: Timestamp) -> ReportRecord {
        var decision = EmergencyRule.decide(
            category: EmergencyRule.Category(
                code: "canary", version: 1, severity: .lowest, alwaysEmergency: true, words: EmergencyWords([]),
                places: []),
            text: "", placeTags: [], placeVersion: 0, personAtRisk: false)
        decision.severity = .lowest
        return ReportRecord(
            id: id, districtID: District.canary, kind: .hazard, category: "canary", categoryVersion: 1,
            channel: .system, personAtRisk: false, place: Coordinate(lon: 0, lat: 0), description: "", language: .en,
            observedAt: now, receivedAt: now, decision: decision, verdict: .judged(.withinBudget))
    }
}
