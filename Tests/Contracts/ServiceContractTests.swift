import Model
import Postgres
import ServiceKit
import Testing

@Suite("CONTRACTS.md, services and settings")
struct ServiceContractTests {
    private static let secrets = [
        "SLUICE_DB_HTTP_PASSWORD": "a", "SLUICE_DB_BACKGROUND_PASSWORD": "b", "SLUICE_AMQP_PASSWORD": "c",
        "SLUICE_MASTER_KEY": String(repeating: "A", count: 43) + "=", "SLUICE_ATTACHMENTS_DIR": "/tmp",
    ]

    @Test("each service listens and signs in as the page says", arguments: ServiceName.allCases)
    func ports(_ service: ServiceName) throws {
        let page = try ContractsPage()
        let row = try #require(page.rows(1) { $0[0] == service.rawValue }.first)
        #expect(ContractsPage.codes(row[1]) == ["sluice-\(service.rawValue)"])
        #expect(ContractsPage.codes(row[2]) == [service.schema])
        let offset = try #require(row[3].drop { $0 == "+" }.split(separator: " ").first.flatMap { Int($0) })
        let configuration = try ServiceConfiguration.load(service: service, environment: Self.secrets)
        #expect(configuration.http.port == 21000 + offset)
        #expect(configuration.operations.port == 21000 + offset + 100)
        #expect(configuration.http.host == "127.0.0.1")
        #expect(ContractsPage.codes(row[4]) == [configuration.databaseHTTP.user])
        #expect(ContractsPage.codes(row[5]) == [configuration.databaseBackground.user])
        #expect(configuration.databaseLane.user == configuration.databaseBackground.user)
        #expect(configuration.databaseHTTP.port == 21001)
        #expect(configuration.databaseHTTP.database == "sluice")
    }

    @Test("a service without its secrets names each of them")
    func required() {
        let errors = #expect(throws: ConfigurationErrors.self) {
            try ServiceConfiguration.load(service: .intake, environment: [:])
        }
        for name in [
            "SLUICE_DB_HTTP_PASSWORD", "SLUICE_DB_BACKGROUND_PASSWORD", "SLUICE_AMQP_PASSWORD", "SLUICE_MASTER_KEY",
        ] {
            #expect("\(errors as Any)".contains(name))
        }
    }
}
