import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Model
import NIOCore
import Outbox
import Postgres
import PrivateServers
import Rules
import Schema
import ServiceKit

@testable import DispatchService

/// The service on a database of its own, without its loops and without a broker: a test says what happens when.
struct Stage: Sendable {
    static let publicURL = "http://sluice.test"
    static let seed = [UInt8](repeating: 9, count: 32)

    let context: ServiceContext
    let service: DispatchService
    let district: District.ID
    let otherDistrict: District.ID
    /// As superuser, past every policy.
    let admin: ScriptConnection

    static let here = Coordinate(lon: 114.05, lat: 22.55)

    static func with<T: Sendable>(
        _ environment: [String: String] = [:], _ body: @Sendable (Stage) async throws -> T
    ) async throws -> T {
        let server = try PrivatePostgres.shared()
        return try await server.inTurn { try await with(environment, on: server, body) }
    }

    private static func with<T: Sendable>(
        _ environment: [String: String], on server: PrivatePostgres, _ body: @Sendable (Stage) async throws -> T
    ) async throws -> T {
        let database = try await server.copiedDatabase()
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "sluice-dispatch-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var settings = [
            "SLUICE_DB_PORT": "\(server.port)", "SLUICE_DB_NAME": database,
            "SLUICE_DB_HTTP_PASSWORD": PrivatePostgres.passwords["sluice_dispatch_http"] ?? "",
            "SLUICE_DB_BACKGROUND_PASSWORD": PrivatePostgres.passwords["sluice_dispatch_bg"] ?? "",
            "SLUICE_AMQP_PASSWORD": "-", "SLUICE_PUBLIC_URL": publicURL,
            "SLUICE_HTTP_PORT": "\(try PrivatePostgres.freePort())", "SLUICE_INSTANCE": "test",
            "SLUICE_DB_HTTP_CONNECTIONS": "1+4", "SLUICE_DB_BACKGROUND_CONNECTIONS": "1+4",
            "SLUICE_DB_LANE_CONNECTIONS": "1+4", "SLUICE_ATTACHMENTS_DIR": folder.path,
        ]
        settings.merge(environment) { _, new in new }
        let context = ServiceContext(
            configuration: try ServiceConfiguration.load(service: .dispatch, environment: settings),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: MetricsRegistry())
        let stage = Stage(
            context: context, service: try DispatchService(context), district: District.ID(UUID()),
            otherDistrict: District.ID(UUID()),
            admin: try await server.open("postgres", database: database))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for client in [context.http, context.background, context.lane] {
                group.addTask { try await client.run() }
            }
            defer { group.cancelAll() }
            try await stage.prepare()
            // The verifier reads every two seconds, so it must not have begun before the key was there.
            group.addTask { try await context.verifier.run() }
            await context.verifier.refresh()
            return try await body(stage)
        }
    }

    private func prepare() async throws {
        let key = try TokenSigner(kid: "test", seed: Self.seed, issuer: Self.publicURL).publicKey
        let hex = key.map {
            String(UInt8($0), radix: 16).count == 1 ? "0" + String($0, radix: 16) : String($0, radix: 16)
        }
        try await admin.run(
            """
            INSERT INTO intake.signing_key (kid, alg, public_key, created_at, not_before, not_after)
            VALUES ('test', 'EdDSA', '\\x\(hex.joined())', now() - interval '2 hours', now() - interval '1 hour',
                    now() + interval '1 day');
            INSERT INTO dispatch.category (
                code, kind, category_group, name_zh, name_en, severity, merge_radius_m, merge_window_min, skills,
                respond_min, arrive_min, resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min)
            VALUES
                ('flooding', 'hazard', 'water', '积水', 'Flooding', 3, 50, 120, '{pump}', 10, 30, 240, 20, 60, 480),
                ('blockage', 'complaint', 'water', '堵塞', 'Blockage', 2, 30, 1440, '{}', 60, 240, 2880, 120, 480, 5760);
            """)
        try await service.categories.refresh()
    }

    // MARK: - What happens

    func report(
        _ category: String = "flooding", at place: Coordinate = here, emergency: Bool = false,
        severity: Severity = .normal, risk: Bool = false, verified: Bool = true, device: String? = "a",
        district: District.ID? = nil
    ) -> ReportSnapshot {
        let now = context.sources.now()
        return ReportSnapshot(
            reportID: Report.ID(context.sources.randomUUID(now)), districtID: district ?? self.district,
            kind: category == "blockage" ? .complaint : .hazard, category: category, channel: .web,
            emergency: emergency, severity: severity, personAtRisk: risk, verified: verified, deviceHash: device,
            place: place, receivedAt: now, observedAt: now, ruleVersion: 1, ruleReason: "test")
    }

    func event(_ report: ReportSnapshot) throws -> Event {
        let now = context.sources.now()
        return Event(
            id: EventRecord.ID(context.sources.randomUUID(now)), source: .intake, type: .reportReceived, time: now,
            district: report.districtID, aggregateID: report.reportID.rawValue, aggregateVersion: 1,
            lane: report.emergency ? .emergency : .routine, data: Array(try JSONEncoder().encode(report)))
    }

    /// What a consumer does with a batch, but for its inbox.
    func deliver(_ reports: [ReportSnapshot]) async throws {
        try await deliver(
            try reports.map(event), by: service.triage(reports.contains(where: \.emergency) ? .emergency : .routine))
    }

    func deliver(_ events: [Event], by handler: TriageHandler) async throws {
        var tries = 0
        while true {
            do {
                try await context.background.transaction { transaction in
                    let plan = try handler.plan(events)
                    let rows = try await transaction.send([AdvisoryLock.statement(plan.locks, waits: true)] + plan.look)
                    let (writes, announcements) = try handler.decide(
                        events, plan: plan.plan, rows: Array(rows.dropFirst()), now: context.sources.now())
                    try await transaction.commit(writes + context.messaging.announce(announcements))
                }
                return
            } catch let error as PostgresError where error.isConflictWithNeighbour && tries < 5 {
                tries += 1
            }
        }
    }

    @discardableResult
    func crew(
        _ name: String = "crew", at place: Coordinate = here, skills: [String] = ["pump"], district: District.ID? = nil,
        limit: Int = 4, account: Account.ID? = nil, onShift: Bool = true
    ) async throws -> Crew.ID {
        let crew = Crew.ID(UUID())
        let home = district ?? self.district
        try await context.background.segment(
            [
                CrewRegister.insert(
                    crew, district: home, name: name, vehicle: nil, skills: skills, lon: place.lon, lat: place.lat,
                    listLimit: limit)
            ] + (account.map { CrewRegister.setMembers([$0], of: crew, district: home) } ?? [])
                + (onShift
                    ? ["UPDATE dispatch.crew_slot SET shift_id = \(UUID()) WHERE crew_id = \(crew)"] : []))
        return crew
    }

    var claiming: Claiming {
        Claiming(
            database: context.lane, messaging: context.messaging, categories: service.categories, live: Wake(),
            meter: service.meter)
    }

    var releases: ReleaseLoop {
        ReleaseLoop(
            database: context.background, messaging: context.messaging, categories: service.categories,
            claims: Wakes(all: []), live: Wake(), patience: .init(emergency: .zero, routine: .seconds(3_600)),
            interval: .seconds(1), logger: context.logger)
    }

    var clocks: ClockLoop {
        ClockLoop(
            database: context.background, messaging: context.messaging, categories: service.categories, live: Wake(),
            interval: .seconds(1), logger: context.logger)
    }

    // MARK: - What is there

    func cases() async throws -> [CaseRecord] {
        try await context.background.query(
            """
            SELECT \(CaseStore.selected) FROM dispatch.case_file
            WHERE category <> 'sentinel' ORDER BY opened_at, case_id
            """
        ).map { try CaseRecord($0) }
    }

    func orders() async throws -> [OrderRecord] {
        try await context.background.query(
            """
            SELECT \(OrderStore.columns) FROM dispatch.work_order
            WHERE crew_name <> 'sentinel' ORDER BY assigned_at, order_id
            """
        ).map { try OrderRecord($0) }
    }

    func slot(_ crew: Crew.ID) async throws -> SlotRecord {
        try SlotRecord(
            try await context.background.query(
                "SELECT \(CrewStore.slotColumns) FROM dispatch.crew_slot WHERE crew_id = \(crew)")[0])
    }

    func count(_ sql: SQL) async throws -> Int {
        try await context.background.query(sql)[0].decode(0, as: Int.self)
    }

    func waiting() async throws -> [QueueRecord] {
        try await context.background.query(
            "SELECT \(QueueStore.columns) FROM dispatch.claim_queue ORDER BY since, case_id"
        ).map { try QueueRecord($0) }
    }

    // MARK: - HTTP

    func token(
        _ roles: Set<Role>, districts: [District.ID]? = nil, everything: Bool = false,
        account: Account.ID = Account.ID(UUID())
    ) throws -> String {
        let now = context.sources.now()
        return try TokenSigner(kid: "test", seed: Self.seed, issuer: Self.publicURL).sign(
            Claims(
                sub: account, sid: Session.ID(UUID()), roles: roles,
                districts: everything ? .city : .districts((districts ?? [district]).map(\.rawValue)), name: "Test",
                issuedAt: now,
                expiresAt: now + .seconds(600)))
    }

    func serving<T: Sendable>(_ body: @escaping @Sendable (Caller) async throws -> T) async throws -> T {
        let (router, document) = service.routes()
        let application = application(context, router: router, document: document)
        return try await application.test(.live) { try await body(Caller(client: $0)) }
    }
}

/// Sends requests as somebody.
struct Caller: Sendable {
    let client: any TestClientProtocol

    func get(_ path: String, _ token: String?) async throws -> Answer {
        try await send(.get, path, token, nil, [:])
    }

    func post(
        _ path: String, _ token: String?, _ body: String, key: String = UUID().uuidString, version: Int? = nil
    ) async throws -> Answer {
        var headers: HTTPFields = [:]
        headers[.idempotencyKey] = key
        if let version { headers[.ifMatch] = "\"\(version)\"" }
        return try await send(.post, path, token, body, headers)
    }

    func change(
        _ method: HTTPRequest.Method, _ path: String, _ token: String?, _ body: String, version: Int?
    ) async throws -> Answer {
        var headers: HTTPFields = [:]
        if let version { headers[.ifMatch] = "\"\(version)\"" }
        return try await send(method, path, token, body, headers)
    }

    /// A body of another kind than JSON.
    func post(
        _ path: String, _ token: String?, _ body: Data, type: String, key: String = UUID().uuidString
    ) async throws -> Answer {
        var headers: HTTPFields = [.contentType: type]
        headers[.idempotencyKey] = key
        if let token { headers[.authorization] = "Bearer \(token)" }
        return try await client.execute(
            uri: path, method: .post, headers: headers, body: ByteBuffer(bytes: body)
        ) { try Answer($0) }
    }

    private func send(
        _ method: HTTPRequest.Method, _ path: String, _ token: String?, _ body: String?, _ headers: HTTPFields
    ) async throws -> Answer {
        var headers = headers
        if let token { headers[.authorization] = "Bearer \(token)" }
        if body != nil { headers[.contentType] = "application/json" }
        return try await client.execute(
            uri: path, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) }
        ) { try Answer($0) }
    }
}

struct Answer: Sendable {
    let status: Int
    let text: String
    let json: JSONValue
    let headers: HTTPFields
    let bytes: [UInt8]

    init(_ response: TestResponse) throws {
        status = response.status.code
        bytes = Array(response.body.readableBytesView)
        text = String(buffer: response.body)
        json = (try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))) ?? .null
        headers = response.headers
    }

    subscript(_ path: String) -> JSONValue {
        path.split(separator: ".").reduce(json) { value, part in
            if case .object(let fields) = value { return fields[String(part)] ?? .null }
            if case .array(let items) = value, let index = Int(part), items.indices.contains(index) {
                return items[index]
            }
            return .null
        }
    }

    func string(_ path: String) -> String? {
        if case .string(let text) = self[path] { text } else { nil }
    }

    func integer(_ path: String) -> Int? {
        if case .integer(let number) = self[path] { Int(number) } else { nil }
    }

    func items(_ path: String = "items") -> [JSONValue] {
        if case .array(let items) = self[path] { items } else { [] }
    }
}
