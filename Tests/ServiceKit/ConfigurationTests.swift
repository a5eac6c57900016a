import AMQP
import Foundation
import Model
import Postgres
import ServiceKit
import Testing

/// Settings are checked whole at the start, and complained of without showing them.
@Suite struct ConfigurationTests {
    private let good = [
        "SLUICE_DB_HTTP_PASSWORD": "one", "SLUICE_DB_BACKGROUND_PASSWORD": "two", "SLUICE_AMQP_PASSWORD": "three",
    ]
    private let key = Data(repeating: 5, count: 32).base64EncodedString()

    private func file(_ text: String) throws -> String {
        let path = NSTemporaryDirectory() + "sluice-configuration-" + UUID().uuidString
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func errors(_ service: ServiceName, _ environment: [String: String]) throws -> ConfigurationErrors {
        let errors = #expect(throws: ConfigurationErrors.self) {
            try ServiceConfiguration.load(service: service, environment: environment)
        }
        return try #require(errors)
    }

    @Test func `what is not set follows from the port base and the service`() throws {
        let configuration = try ServiceConfiguration.load(
            service: .gisSync, environment: good.merging(["SLUICE_PORT_BASE": "23000"]) { $1 })
        #expect(configuration.http.port == 23_030)
        #expect(configuration.operations.port == 23_130)
        #expect(configuration.http.host == "127.0.0.1")
        #expect(configuration.databaseHTTP.port == 23_001)
        #expect(configuration.databaseHTTP.user == "sluice_gis_http")
        #expect(configuration.databaseBackground.user == "sluice_gis_bg")
        #expect(configuration.databaseLane.user == "sluice_gis_bg")
        #expect(configuration.databaseLane.options.statementTimeout == .seconds(1))
        #expect(configuration.amqp.hosts.map(\.port) == [23_002])
        #expect(configuration.amqp.user == "gis-sync")
        #expect(configuration.smtp.port == 23_005)
        #expect(configuration.publicURL == "http://127.0.0.1:8080")
        #expect(!configuration.instance.isEmpty)
    }

    @Test func `everything that is wrong is said at once, and no value is shown`() throws {
        let errors = try errors(
            .intake,
            [
                "SLUICE_HTTP_PORT": "hunter2", "SLUICE_DB_PORT": "70000", "SLUICE_DB_TLS": "maybe-hunter2",
                "SLUICE_AMQP_HOSTS": "hunter2", "SLUICE_PUBLIC_URL": "ftp://hunter2", "SLUICE_MASTER_KEY": "hunter2",
                "SLUICE_LOG_LEVEL": "hunter2", "SLUICE_ATTACHMENTS_DIR": "/nonexistent/hunter2",
                "SLUICE_DB_HTTP_CONNECTIONS": "hunter2", "SLUICE_SMTP_FROM": "hunter2",
            ])
        let names = Set(errors.items.map(\.name))
        #expect(
            names.isSuperset(of: [
                "SLUICE_HTTP_PORT", "SLUICE_DB_PORT", "SLUICE_DB_TLS", "SLUICE_AMQP_HOSTS", "SLUICE_PUBLIC_URL",
                "SLUICE_MASTER_KEY", "SLUICE_LOG_LEVEL", "SLUICE_ATTACHMENTS_DIR", "SLUICE_DB_HTTP_PASSWORD",
                "SLUICE_DB_BACKGROUND_PASSWORD", "SLUICE_AMQP_PASSWORD", "SLUICE_DB_HTTP_CONNECTIONS",
                "SLUICE_SMTP_FROM",
            ]))
        #expect(!"\(errors)".contains("hunter2"))
        #expect("\(errors)".contains("SLUICE_DB_TLS: must be one of disable, require, verify-full"))
    }

    @Test(arguments: [(ServiceName.intake, true), (.notification, true), (.dispatch, false), (.scoring, false)])
    func `the master key is wanted where something is wrapped with it`(service: ServiceName, isNeeded: Bool) throws {
        let environment = good.merging(["SLUICE_ATTACHMENTS_DIR": NSTemporaryDirectory()]) { $1 }
        if isNeeded {
            #expect(try errors(service, environment).items.map(\.name) == ["SLUICE_MASTER_KEY"])
        }
        let configuration = try ServiceConfiguration.load(
            service: service, environment: environment.merging(["SLUICE_MASTER_KEY": key]) { $1 })
        #expect(configuration.masterKeyBytes == [UInt8](repeating: 5, count: 32))
        #expect(!"\(configuration)".contains(key))
        #expect(!"\(configuration)".contains("three"))
    }

    @Test func `a secret can come from a file, whose last line break is not part of it`() throws {
        var environment = good
        environment["SLUICE_DB_HTTP_PASSWORD"] = nil
        environment["SLUICE_DB_HTTP_PASSWORD_FILE"] = try file("from a file\n")
        let configuration = try ServiceConfiguration.load(service: .scoring, environment: environment)
        #expect(configuration.databaseHTTP.password?.value == "from a file")
    }

    @Test func `a file that is missing, empty or doubled is an error of that setting alone`() throws {
        var environment = good
        environment["SLUICE_DB_HTTP_PASSWORD_FILE"] = try file("x")
        #expect(try errors(.scoring, environment).items.map(\.name) == ["SLUICE_DB_HTTP_PASSWORD"])
        environment["SLUICE_DB_HTTP_PASSWORD"] = nil
        environment["SLUICE_DB_HTTP_PASSWORD_FILE"] = "/nonexistent"
        #expect(try errors(.scoring, environment).items.map(\.name) == ["SLUICE_DB_HTTP_PASSWORD_FILE"])
        environment["SLUICE_DB_HTTP_PASSWORD_FILE"] = try file("\n")
        #expect(try errors(.scoring, environment).items.map(\.name).contains("SLUICE_DB_HTTP_PASSWORD_FILE"))
    }

    @Test func `the environment wins over the file`() throws {
        let path = try file(
            """
            # a comment

            SLUICE_DB_HOST = db.example
            SLUICE_DB_NAME=from=file
            SLUICE_HTTP_PORT=4000
            """)
        let configuration = try ServiceConfiguration.load(
            service: .scoring,
            environment: good.merging(["SLUICE_CONFIG_FILE": path, "SLUICE_HTTP_PORT": "4001"]) { $1 })
        #expect(configuration.databaseHTTP.host == "db.example")
        #expect(configuration.databaseHTTP.database == "from=file")
        #expect(configuration.http.port == 4_001)
    }

    @Test func `a file that was written on Windows is read alike`() throws {
        let path = try file("# a comment\r\nSLUICE_DB_HOST=db.example\r\nSLUICE_HTTP_PORT=4000\r\n")
        let configuration = try ServiceConfiguration.load(
            service: .scoring, environment: good.merging(["SLUICE_CONFIG_FILE": path]) { $1 })
        #expect(configuration.databaseHTTP.host == "db.example")
        #expect(configuration.http.port == 4_000)
    }

    @Test func `a broken line of the file is named by its number`() throws {
        let path = try file("SLUICE_DB_HOST=a\nnonsense hunter2\n")
        let errors = try errors(.scoring, good.merging(["SLUICE_CONFIG_FILE": path]) { $1 })
        #expect(errors.items.map(\.name) == ["SLUICE_CONFIG_FILE"])
        #expect("\(errors)".contains("line 2"))
        #expect(!"\(errors)".contains("hunter2"))
    }

    @Test(arguments: [
        ("http://a.example", true), ("https://a.example:8443/", true), ("a.example", false), ("http://", false),
        ("http://u:p@a.example", false), ("http://a.example/path", false), ("javascript:alert(1)", false),
    ])
    func `the public address is scheme and host`(text: String, isFine: Bool) {
        let loaded = try? ServiceConfiguration.load(
            service: .scoring, environment: good.merging(["SLUICE_PUBLIC_URL": text]) { $1 })
        #expect((loaded != nil) == isFine)
        #expect(loaded?.publicURL.hasSuffix("/") != true)
    }

    @Test func `a service's own settings are checked in the same way`() throws {
        let configuration = try ServiceConfiguration.load(
            service: .scoring, environment: good.merging(["SLUICE_ROUNDS": "3", "SLUICE_ODD": "x"]) { $1 })
        #expect(try configuration.read { $0.integer("SLUICE_ROUNDS", default: 1, 1...5) } == 3)
        #expect(try configuration.value("SLUICE_NONE") == nil)
        let errors = #expect(throws: ConfigurationErrors.self) {
            try configuration.read { ($0.integer("SLUICE_ODD", default: 1, 1...5), $0.required("SLUICE_NONE", "it")) }
        }
        #expect(errors?.items.map(\.name) == ["SLUICE_ODD", "SLUICE_NONE"])
    }
}
