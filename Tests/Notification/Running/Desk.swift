import Foundation
import Hummingbird
import HummingbirdTesting
import Model
import NIOCore
import Outbox
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import NotificationService

/// A street's office on a database of its own. The service's loops run only where a test starts them, and there is no
/// broker: a test says what dispatch announced, and when.
struct Desk: Sendable {
    let stage: ServiceStage
    let service: NotificationService
    let district = District.ID(UUID())
    let otherDistrict = District.ID(UUID())
    let street = Street.ID(UUID())
    let office = Office.ID(UUID())
    let account = Account.ID(UUID())

    var database: PostgresClient { stage.context.background }

    static func with<T: Sendable>(
        _ environment: [String: String] = [:], _ body: @Sendable (Desk) async throws -> T
    ) async throws -> T {
        try await ServiceStage.with(.notification, environment) { stage in
            let desk = Desk(stage: stage, service: try NotificationService(stage.context))
            try await desk.database.segment([
                """
                INSERT INTO notification.office (office_id, district_id, street_id, name_zh, name_en)
                VALUES (\(desk.office), \(desk.district), \(desk.street), '一街街道办', 'Street one')
                """
            ])
            return try await body(desk)
        }
    }

    // MARK: - Who is there

    func recipient(_ name: String, level: Int = 1, account: Account.ID? = nil) async throws -> Recipient.ID {
        let id = Recipient.ID(UUID())
        try await database.segment([
            """
            INSERT INTO notification.recipient (recipient_id, office_id, district_id, level, account_id, name)
            VALUES (\(id), \(office), \(district), \(level)::int, \(account), \(name))
            """
        ])
        return id
    }

    static let secret = "whsec_" + Data(repeating: 5, count: 32).base64EncodedString()

    func webhook(_ recipient: Recipient.ID, _ url: String) async throws {
        let address = try service.keys.seal(url)
        let secret = try service.keys.seal(Self.secret)
        try await database.segment([
            """
            INSERT INTO notification.channel (recipient_id, district_id, kind, address, secret)
            VALUES (\(recipient), \(district), 'webhook', \(address), \(secret))
            """
        ])
    }

    /// Where the one channel of somebody is changed.
    func channelPath(of recipient: Recipient.ID) async throws -> String {
        let rows = try await database.query(
            "SELECT channel_id FROM notification.channel WHERE recipient_id = \(recipient)")
        return "/v1/channels/\(try rows[0].decode(0, as: Identifier<Message>.self))"
    }

    func mail(_ recipient: Recipient.ID, _ address: String) async throws {
        let address = try service.keys.seal(address)
        try await database.segment([
            """
            INSERT INTO notification.channel (recipient_id, district_id, kind, address)
            VALUES (\(recipient), \(district), 'mail', \(address))
            """
        ])
    }

    // MARK: - What happens

    func emergency(severity: Severity = .normal) -> CaseSnapshot {
        CaseSnapshot(
            caseID: Case.ID(UUID()), version: 1, districtID: district, responsibleDistrictID: district,
            streetID: street, kind: .hazard, category: "road_collapse", emergency: true, verified: true,
            severity: severity, state: .filed, place: Coordinate(lon: 114.05, lat: 22.55),
            openedAt: stage.context.sources.now())
    }

    func event(_ snapshot: CaseSnapshot) throws -> Event {
        let now = stage.context.sources.now()
        return Event(
            id: EventRecord.ID(stage.context.sources.randomUUID(now)), source: .dispatch, type: .caseChanged, time: now,
            district: snapshot.districtID, aggregateID: snapshot.caseID.rawValue, aggregateVersion: snapshot.version,
            lane: snapshot.emergency ? .emergency : .routine, data: Array(try JSONEncoder().encode(snapshot)))
    }

    /// What a consumer does with a batch, but for its inbox.
    func announce(_ snapshots: [CaseSnapshot], linkLife: Duration? = nil) async throws {
        var maker = service.maker
        if let linkLife { maker.linkLife = linkLife }
        let handler = CaseHandler(maker: maker, bell: service.bell)
        let events = try snapshots.map(event)
        try await database.transaction { transaction in
            let plan = try handler.plan(events)
            let rows = try await transaction.send([AdvisoryLock.statement(plan.locks, waits: true)] + plan.look)
            let (writes, announcements) = try handler.decide(
                events, plan: plan.plan, rows: Array(rows.dropFirst()), now: stage.context.sources.now())
            try await transaction.commit(writes + stage.context.messaging.announce(announcements))
        }
        await handler.committed(events, announcements: [])
    }

    var escalation: Escalation {
        Escalation(
            database: stage.context.lane, messaging: stage.context.messaging, maker: service.maker,
            announcer: service.announcer, bell: service.bell, logger: stage.context.logger)
    }

    var sender: Sender { sender(by: service.laneChannels) }

    private func sender(by channels: Channels) -> Sender {
        Sender(
            lane: .emergency, database: stage.context.lane, messaging: stage.context.messaging,
            announcer: service.announcer, bell: service.bell, channels: channels,
            publicURL: ServiceStage.publicURL, executor: nil, logger: stage.context.logger)
    }

    /// A webhook that finds names by these look-ups.
    func webhook(listed: [String], _ lookUps: NameLookUps, timeout: Duration = .seconds(10)) -> Webhook {
        Webhook(
            eventLoops: stage.context.laneEventLoop, addresses: OutgoingAddresses(listed: listed, lookUps: lookUps),
            timeout: timeout)
    }

    /// Runs the lane's sender while the body runs.
    /// - Parameter webhook: nil is the service's own.
    @discardableResult
    func sending<T: Sendable>(
        by webhook: Webhook? = nil, _ body: @Sendable () async throws -> T
    ) async throws -> T {
        let channels = service.laneChannels
        let started = sender(
            by: webhook.map { Channels(keys: channels.keys, webhook: $0, mail: channels.mail) } ?? channels)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await started.run() }
            defer { group.cancelAll() }
            return try await body()
        }
    }

    /// Runs the lane's sender as the service does, and stops it once `body` has returned.
    func stopping(
        budget: Duration, after body: @Sendable () async throws -> Void,
        meanwhile: @escaping @Sendable () -> Void = {}
    ) async throws {
        let (stops, end) = AsyncStream.makeStream(of: String.self)
        let supervisor = Supervisor(
            services: [sender.stopping(in: .work, name: "sender")], logger: stage.context.logger,
            budget: { _ in budget }, forcedEnd: .seconds(20))
        async let ended: Void = supervisor.run(stops: stops, onStop: meanwhile)
        try await body()
        end.yield("test")
        try await ended
    }

    // MARK: - What is there

    struct Told: Sendable, Hashable {
        var id: Notice.ID
        var recipient: Recipient.ID?
        var purpose: String
        var state: String
        var round: Int
    }

    func notices() async throws -> [Told] {
        try await database.query(
            """
            SELECT notice_id, recipient_id, purpose, state, round FROM notification.notice
            WHERE reason <> 'sentinel' ORDER BY notice_id
            """
        ).map { row in
            Told(
                id: try row.decode("notice_id"), recipient: try row.decode("recipient_id", as: Recipient.ID?.self),
                purpose: try row.decode("purpose"), state: try row.decode("state"), round: try row.decode("round"))
        }
    }

    /// Each delivery with what came of its tries: `kind state, outcome: detail, …`.
    func deliveries() async throws -> [String] {
        try await database.query(
            """
            SELECT d.kind || ' ' || d.state
                   || coalesce(string_agg(', ' || a.outcome || ': ' || a.detail, '' ORDER BY a.attempt), '') AS line
            FROM notification.delivery d LEFT JOIN notification.delivery_attempt a USING (delivery_id)
            GROUP BY d.delivery_id ORDER BY d.delivery_id
            """
        ).map { try $0.decode("line") }
    }

    func count(_ sql: SQL) async throws -> Int {
        try await database.query(sql)[0].decode(0, as: Int.self)
    }

    /// The time to acknowledge is over.
    func timeIsOver() async throws {
        try await database.segment([
            "UPDATE notification.notice SET escalate_at = clock_timestamp() WHERE escalate_at IS NOT NULL"
        ])
    }

    /// The link that a notice carries, and its token.
    func link(_ notice: Notice.ID) async throws -> (kid: String, token: String) {
        let row = try #require(
            try await database.query(
                "SELECT kid, recipient_id, expires_at FROM notification.link WHERE notice_id = \(notice)"
            ).first)
        let link = Link(
            kid: try row.decode("kid"), notice: notice, recipient: try row.decode("recipient_id"),
            expiresAt: try row.decode("expires_at"))
        return (link.kid, service.keys.token(link))
    }

    // MARK: - HTTP

    func token(_ roles: Set<Role>, account: Account.ID = Account.ID(UUID()), district: District.ID? = nil) throws
        -> String
    {
        try stage.token(roles, districts: .districts([(district ?? self.district).rawValue]), account: account)
    }

    func serving<T: Sendable>(_ body: @escaping @Sendable (Caller) async throws -> T) async throws -> T {
        let (router, document) = service.routes()
        return try await application(stage.context, router: router, document: document).test(.live) {
            try await body(Caller(client: $0))
        }
    }
}

/// Waits for what the service does by itself.
@discardableResult
func eventually<T: Sendable>(_ look: @Sendable () async throws -> T?) async throws -> T {
    for _ in 0..<1_200 {
        if let found = try await look() { return found }
        try await Task.sleep(for: .milliseconds(25))
    }
    throw NeverCame()
}

struct NeverCame: Error {}
