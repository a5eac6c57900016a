internal import FoundationEssentials
internal import IntakeService
internal import Logging
internal import Model
internal import Postgres
internal import ServiceKit

/// The database as `sluice_control`, and what of the services works on it from here.
struct ControlDatabase: Sendable {
    let client: PostgresClient
    let settings: ControlSettings

    /// For `history.actor`.
    static let actor = "sluicectl"

    /// Connects, does the work and closes.
    static func use<T: Sendable>(_ work: @escaping @Sendable (ControlDatabase) async throws -> T) async throws -> T {
        let settings = try ControlSettings.load()
        var logger = Logger(label: "sluicectl")
        logger.logLevel = .error
        let client = PostgresClient(
            configuration: try settings.database(), shared: 1, exclusive: 3, reactor: PostgresReactor(),
            name: "control", logger: logger)
        return try await withThrowingTaskGroup(of: T?.self) { group in
            group.addTask {
                try await client.run()
                return nil
            }
            group.addTask {
                try await reach(client)
                return try await work(ControlDatabase(client: client, settings: settings))
            }
            defer { group.cancelAll() }
            while let finished = try await group.next() {
                if let value = finished { return value }
            }
            throw CancellationError()
        }
    }

    var accounts: ManageAccounts {
        ManageAccounts(database: client, passwords: PasswordThread(), sources: .system)
    }

    /// Needs the master key, under which the signing keys are wrapped.
    func tokens() async throws -> Tokens {
        guard let master = MasterKey(base64: try settings.reader.requiredSecret("SLUICE_MASTER_KEY")) else {
            throw SettingsErrors(["SLUICE_MASTER_KEY: 32 bytes in base64"])
        }
        let sources = Sources.system
        let keys = SigningKeys(
            issuer: try settings.publicURL(), master: master, database: client, now: sources.now,
            logger: Logger(label: "sluicectl"))
        try await keys.refresh()
        return Tokens(
            accounts: accounts, script: ScriptToken(database: client, keys: keys, sources: sources))
    }
}
