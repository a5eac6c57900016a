import AsyncHTTPClient
import Foundation
import HTTPTypes
import Logging
import Model
import NIOCore
import NIOHTTP1
import Pictures
import Postgres
import PrivateServers
import Schema
import Testing

@testable import IntakeService
@testable import ServiceKit

/// The whole service on a real PostgreSQL, over real HTTP. One for all tests of the process; what a test writes is its
/// own by its device and keys. There is no broker: what is announced waits in the outbox, as on a day when it is down.
final class RunningIntake: Sendable {
    private static let common = Task { try await RunningIntake() }

    static func shared() async throws -> RunningIntake { try await common.value }

    let address: String
    let service: IntakeService
    let context: ServiceContext
    let database: String
    let server: PrivatePostgres
    private let running: Task<Void, any Error>
    private let stopping: AsyncStream<String>.Continuation

    /// One of a test's own, which stops it.
    /// - Parameter more: settings besides the usual ones.
    init(_ more: [String: String] = [:]) async throws {
        server = try PrivatePostgres.shared()
        database = try await server.migratedDatabase()
        try await server.open("sluice_migrate", database: database).run(SmallCity.rows)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-intake-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let port = Int.random(in: 20_000...31_000)
        let passwords = PrivatePostgres.passwords
        let configuration = try ServiceConfiguration.load(
            service: .intake,
            environment: [
                "SLUICE_HTTP_PORT": String(port), "SLUICE_OPERATIONS_PORT": String(port + 1_000),
                "SLUICE_DB_PORT": String(server.port), "SLUICE_DB_NAME": database,
                "SLUICE_DB_HTTP_PASSWORD": try #require(passwords["sluice_intake_http"]),
                "SLUICE_DB_BACKGROUND_PASSWORD": try #require(passwords["sluice_intake_bg"]),
                "SLUICE_AMQP_HOSTS": "127.0.0.1:9", "SLUICE_AMQP_PASSWORD": "none",
                "SLUICE_MASTER_KEY": Data(repeating: 3, count: 32).base64EncodedString(),
                "SLUICE_ATTACHMENTS_DIR": folder.path, "SLUICE_BUDGET_PREFIX": "100000",
                // A round is a test's own affair.
                "SLUICE_CANARY_RATE": "0",
            ].merging(more) { $1 })
        var logger = Logger(label: "intake")
        logger.logLevel = .critical
        let context = ServiceContext(configuration: configuration, logger: logger, metrics: MetricsRegistry())
        var service = try IntakeService(context)
        service.passwordCost = Self.quick
        // Many tests send photos at once.
        service.photoPatience = .seconds(60)
        service.blobs = FillingStore(disk: DiskBlobStore(root: folder.path))
        // What an address has used up, it does not get back during a test.
        service.limits = SenderLimits(reports: RateLimiter(rate: 0.001, burst: Double(Self.reportsOfAnAddress)))
        self.context = context
        self.service = service
        address = "http://127.0.0.1:\(port)"
        let (router, document) = service.routes()
        let services = service.services()
        let (stops, stopping) = AsyncStream.makeStream(of: String.self)
        self.stopping = stopping
        running = Task {
            try await serve(
                context, router: router, document: document, services: services, views: [], stops: stops)
        }
        try await waitUntilReady()
    }

    func stop() async {
        stopping.yield("test")
        _ = try? await running.value
    }

    private func waitUntilReady() async throws {
        for _ in 0..<600 {
            if service.cache.isReady, service.keyring.failure == nil, service.keys.isReady, context.verifier.isReady,
                (try? await send(.get, "/intake/openapi.json").status) == 200
            {
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw NotReady()
    }

    struct NotReady: Error {}

    /// Routine reports that come from one range of addresses; the machine's own programs have no range.
    static let reportsOfAnAddress = 20

    // MARK: - HTTP

    struct Answer: Sendable {
        var status: Int
        var headers: [String: [String]]
        var bytes: Data

        func json<T: Decodable>(_ type: T.Type = T.self) throws -> T {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode(type, from: bytes)
        }

        /// The names of the fields that a problem blames.
        var blamed: [String] {
            struct Body: Decodable {
                struct Item: Decodable { var field: String }
                var errors: [Item]
            }
            return (try? json(Body.self))?.errors.map(\.field) ?? []
        }

        var problemCode: String? {
            struct Body: Decodable { var code: String }
            return (try? json(Body.self))?.code
        }
    }

    func send(
        _ method: Method, _ path: String, body: Data? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: address + path)
        request.method = .init(rawValue: method.rawValue.uppercased())
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        let bytes = try await response.body.collect(upTo: 64 << 20)
        var found: [String: [String]] = [:]
        for (name, value) in response.headers { found[name.lowercased(), default: []].append(value) }
        return Answer(status: Int(response.status.code), headers: found, bytes: Data(bytes.readableBytesView))
    }

    enum Method: String { case get, post, patch, delete }

    /// A POST of JSON with a fresh idempotency key (or the given one).
    func post(
        _ path: String, _ json: [String: any Sendable], device: String? = RunningIntake.device(),
        key: String = UUID().uuidString,
        token: String? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        try await post(
            path, data: JSONSerialization.data(withJSONObject: json, options: .sortedKeys), type: "application/json",
            device: device,
            key: key,
            token: token, headers: headers)
    }

    func post(
        _ path: String, data: Data, type: String, device: String? = RunningIntake.device(),
        key: String = UUID().uuidString,
        token: String? = nil, headers more: [String: String] = [:]
    ) async throws -> Answer {
        var headers = ["Content-Type": type, "Idempotency-Key": key]
        headers["Sluice-Device"] = device
        headers["Authorization"] = token.map { "Bearer \($0)" }
        return try await send(.post, path, body: data, headers: headers.merging(more) { $1 })
    }

    static func device() -> String { UUID().uuidString.replacing("-", with: "") }

    // MARK: - The database, as its owner sees it

    func rows(_ sql: String, _ parameters: [String?] = []) async throws -> [[String?]] {
        try await server.open("postgres", database: database).rows(sql, parameters)
    }

    // MARK: - People

    static let password = "correct horse battery"
    private static let quick = PasswordHash.Cost(logRounds: 10, blockSize: 8, parallelism: 1)

    /// With passwords that are quick to check: their cost stands in the stored hash.
    var manage: ManageAccounts {
        ManageAccounts(
            database: context.background,
            passwords: PasswordThread(capacity: 64, cost: Self.quick),
            sources: context.sources)
    }

    @discardableResult
    func account(_ login: String, _ roles: [Role], districts: [District.ID] = [District.city]) async throws
        -> StoredAccount
    {
        try await manage.create(
            login: login,
            AccountChange(displayName: login, roles: roles, districts: districts, password: Self.password),
            actor: "test")
    }

    struct Tokens: Decodable {
        var accessToken: String?
        var refreshToken: String?
    }

    func signIn(_ login: String, device: String = RunningIntake.device()) async throws -> Tokens {
        let answer = try await post("/v1/session", ["login": login, "password": Self.password], device: device)
        try #require(answer.status == 201)
        return try answer.json()
    }
}

/// The body of a multipart/form-data request.
struct MultipartForm {
    let boundary = "b" + UUID().uuidString
    private var data = Data()

    var type: String { "multipart/form-data; boundary=\(boundary)" }
    var body: Data { data + Data("--\(boundary)--\r\n".utf8) }

    mutating func add(_ name: String, fileName: String? = nil, type: String, _ content: some Sequence<UInt8>) {
        let file = fileName.map { "; filename=\"\($0)\"" } ?? ""
        data += Data("--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\(file)\r\n".utf8)
        data += Data("Content-Type: \(type)\r\n\r\n".utf8) + Data(content) + Data("\r\n".utf8)
    }
}
