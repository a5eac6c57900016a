import Foundation
import Model
import ServiceKit
import Testing

@testable import ControlCommands

@Suite("Settings of sluicectl")
struct SettingsTests {
    private static func file(_ text: String) throws -> String {
        let path = NSTemporaryDirectory() + "sluicectl-settings-" + UUID().uuidString
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// A file of settings, an environment over it, and what `NAME` is. `FILE` stands for a file that holds "held".
    private static let readings: [(file: String, environment: [String: String], value: String?)] = [
        ("# a comment\n\nA=1\nNAME=x=y\n", [:], "x=y"),
        ("NAME = spaced \n", [:], "spaced"),
        ("  # NAME=no\nNAME=\n", [:], nil),
        ("NAME=file\n", ["NAME": "environment"], "environment"),
        ("NAME=file\n", ["NAME": ""], "file"),
        ("NAME_FILE=FILE\n", [:], "held"),
        ("NAME=file\n", ["NAME_FILE": "FILE"], "held"),
        ("NAME_FILE=FILE\n", ["NAME": "environment"], "environment"),
    ]

    @Test("means what it means to the services, the environment above all", arguments: readings.indices)
    func oneWay(_ index: Int) throws {
        let (file, environment, value) = Self.readings[index]
        let held = try Self.file("held\n")
        let settings = try Self.file(file.replacing("FILE\n", with: "\(held)\n"))
        defer { for path in [held, settings] { try? FileManager.default.removeItem(atPath: path) } }
        var given = environment.mapValues { $0 == "FILE" ? held : $0 }
        given["SLUICE_CONFIG_FILE"] = settings
        #expect(try SettingsReader(environment: given).text("NAME") == value)
        var services = ConfigurationReader(environment: given)
        #expect(services.optional("NAME") == value)
        #expect(services.errors == [])
    }

    @Test("tokens name the issuer as the services do, with or without a slash in the setting")
    func issuer() throws {
        for (setting, url) in [
            ("https://sluice.example/", "https://sluice.example"), ("https://sluice.example", "https://sluice.example"),
            ("", "http://127.0.0.1:8080"),
        ] {
            let environment = ["SLUICE_PUBLIC_URL": setting]
            #expect(try ControlSettings(reader: SettingsReader(environment: environment)).publicURL() == url)
            let service = try ServiceConfiguration.load(
                service: .scoring,
                environment: environment.merging([
                    "SLUICE_DB_HTTP_PASSWORD": "-", "SLUICE_DB_BACKGROUND_PASSWORD": "-", "SLUICE_AMQP_PASSWORD": "-",
                ]) { $1 })
            #expect(service.publicURL == url)
        }
        #expect(throws: SettingsErrors.self) {
            try ControlSettings(reader: SettingsReader(environment: ["SLUICE_PUBLIC_URL": "sluice"])).publicURL()
        }
    }

    @Test("an empty value is none, and a number must be in its range")
    func numbers() throws {
        let reader = try SettingsReader(environment: ["PORT": "70000", "EMPTY": ""])
        #expect(try reader.text("EMPTY") == nil)
        #expect(throws: SettingsErrors.self) { try reader.number("PORT", default: 1, in: 1...65535) }
        #expect(try reader.number("EMPTY", default: 5, in: 1...9) == 5)
    }

    @Test("what is wrong is named by its setting; a value never is")
    func missing() throws {
        let absent = #expect(throws: SettingsErrors.self) {
            try SettingsReader(environment: ["SLUICE_CONFIG_FILE": "/nowhere/at/all"])
        }
        #expect(absent?.description.contains("SLUICE_CONFIG_FILE") == true)
        let reader = try SettingsReader(environment: ["A": "hunter2", "A_FILE": "/nowhere", "B_FILE": "/nowhere"])
        for name in ["A", "B"] {
            let error = #expect(throws: SettingsErrors.self) { try reader.requiredSecret(name) }
            #expect(error?.description.contains(name) == true)
            #expect(error?.description.contains("hunter2") == false)
        }
    }
}
