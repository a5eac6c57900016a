import Foundation
import Logging
import Postgres
import PrivateServers
import Testing

@testable import ControlCommands

@Suite("A database that is not there")
struct UnreachableTests {
    @Test("is said soon, with what the connection met, and not after the patience of a long statement")
    func unreachable() async throws {
        let client = PostgresClient(
            configuration: PostgresConfiguration(
                port: try PrivatePostgres.freePort(), database: "sluice", user: "sluice_control", password: Secret("x"),
                applicationName: "test", queryDeadline: .seconds(3_600)),
            shared: 1, exclusive: 1, reactor: PostgresReactor(), name: "test", logger: Logger(label: "test"))
        let running = Task { try await client.run() }
        defer { running.cancel() }
        let failure = await #expect(throws: CommandFailure.self) {
            try await ControlDatabase.reach(client, within: .seconds(2))
        }
        #expect(failure?.description.contains("the database does not answer: ") == true)
        #expect(failure?.description.contains("refused") == true, "\(failure?.description ?? "")")
    }
}
