public import Foundation
import Logging
public import Model
public import Postgres
public import ServiceKit

/// A service's context on a database of its own, without a broker: a test says what happens when. Relays and loops do
/// not run.
public struct ServiceStage: Sendable {
    public static let publicURL = "http://sluice.test"
    static let seed = [UInt8](repeating: 9, count: 32)

    public let context: ServiceContext
    /// As superuser, past every policy.
    public let admin: ScriptConnection

    /// - Parameter environment: settings besides the usual.
    public static func with<T: Sendable>(
        _ service: ServiceName, _ environment: [String: String] = [:],
        _ body: @Sendable (ServiceStage) async throws -> T
    ) async throws -> T {
        let server = try PrivatePostgres.shared()
        return try await server.inTurn {
            try await with(service, environment, on: server, database: try await server.copiedDatabase(), body)
        }
    }

    /// On a database that is there already.
    static func with<T: Sendable>(
        _ service: ServiceName, on server: PrivatePostgres, database: String,
        _ body: @Sendable (ServiceStage) async throws -> T
    ) async throws -> T {
        try await server.inTurn { try await with(service, [:], on: server, database: database, body) }
    }

    private static func with<T: Sendable>(
        _ service: ServiceName, _ environment: [String: String], on server: PrivatePostgres, database: String,
        _ body: @Sendable (ServiceStage) async throws -> T
    ) async throws -> T {
        var settings = [
            "SLUICE_DB_PORT": "\(server.port)", "SLUICE_DB_NAME": database,
            "SLUICE_DB_HTTP_PASSWORD": PrivatePostgres.passwords["sluice_\(service.schema)_http"] ?? "",
            "SLUICE_DB_BACKGROUND_PASSWORD": PrivatePostgres.passwords["sluice_\(service.schema)_bg"] ?? "",
            "SLUICE_AMQP_PASSWORD": "-", "SLUICE_PUBLIC_URL": publicURL,
            "SLUICE_MASTER_KEY": Data(repeating: 7, count: 32).base64EncodedString(),
            "SLUICE_ATTACHMENTS_DIR": FileManager.default.temporaryDirectory.path,
            "SLUICE_HTTP_PORT": "\(try PrivatePostgres.freePort())", "SLUICE_INSTANCE": "test",
            "SLUICE_DB_HTTP_CONNECTIONS": "1+4", "SLUICE_DB_BACKGROUND_CONNECTIONS": "1+4",
            "SLUICE_DB_LANE_CONNECTIONS": "1+4",
        ]
        settings.merge(environment) { _, new in new }
        let context = ServiceContext(
            configuration: try ServiceConfiguration.load(service: service, environment: settings),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: MetricsRegistry())
        let stage = ServiceStage(context: context, admin: try await server.open("postgres", database: database))
        try await stage.addSigningKey()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for client in [context.http, context.background, context.lane] {
                group.addTask { try await client.run() }
            }
            group.addTask { try await context.verifier.run() }
            defer { group.cancelAll() }
            await context.verifier.refresh()
            return try await body(stage)
        }
    }

    private func addSigningKey() async throws {
        let key = try TokenSigner(kid: "test", seed: Self.seed, issuer: Self.publicURL).publicKey
        let hex = key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        try await admin.run(
            """
            INSERT INTO intake.signing_key (kid, alg, public_key, created_at, not_before, not_after)
            VALUES ('test', 'EdDSA', '\\x\(hex)', now() - interval '2 hours', now() - interval '1 hour',
                    now() + interval '1 day')
            ON CONFLICT DO NOTHING
            """)
    }

    /// A bearer token of an account with these roles.
    public func token(_ roles: Set<Role>, districts: DistrictScope, account: Account.ID = Account.ID(UUID())) throws
        -> String
    {
        let now = context.sources.now()
        return try TokenSigner(kid: "test", seed: Self.seed, issuer: Self.publicURL).sign(
            Claims(
                sub: account, sid: Session.ID(UUID()), roles: roles, districts: districts, name: "Test", issuedAt: now,
                expiresAt: now + .seconds(600)))
    }
}
