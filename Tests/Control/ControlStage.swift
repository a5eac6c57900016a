import Logging
import Postgres
import PrivateServers

@testable import ControlCommands

extension ControlDatabase {
    /// On a test's database as `sluicectl` is on a city's. Its connections live until the task is cancelled.
    static func onStage(
        _ server: PrivatePostgres, _ name: String
    ) throws -> (database: ControlDatabase, running: Task<Void, any Error>) {
        let settings = server.settings("sluice_control", database: name)
        let client = PostgresClient(
            configuration: PostgresConfiguration(
                host: settings.host, port: settings.port, database: name, user: settings.user,
                password: settings.password.map { Secret($0) }),
            shared: 1, exclusive: 1, reactor: PostgresReactor(), name: "test", logger: Logger(label: "test"))
        let database = ControlDatabase(
            client: client, settings: ControlSettings(reader: try SettingsReader(environment: [:])))
        return (database, Task { try await client.run() })
    }
}
