import Testing

@testable import ControlCommands

@Suite("Settings of sluicectl")
struct SettingsTests {
    @Test("lines of NAME=value; comments and empty lines don't count, values may hold =")
    func file() {
        let values = SettingsReader.parse("# a comment\n\nA=1\nB=x=y\nC=\n")
        #expect(values == ["A": "1", "B": "x=y", "C": ""])
    }

    @Test("an empty value is none, and a number must be in its range")
    func numbers() throws {
        let reader = try SettingsReader(environment: ["PORT": "70000", "EMPTY": ""])
        #expect(reader.text("EMPTY") == nil)
        #expect(throws: SettingsErrors.self) { try reader.number("PORT", default: 1, in: 1...65535) }
        #expect(try reader.number("EMPTY", default: 5, in: 1...9) == 5)
    }

    @Test("a missing file is named; a secret's value never is")
    func missing() {
        let error = #expect(throws: SettingsErrors.self) {
            try SettingsReader(environment: ["SLUICE_CONFIG_FILE": "/nowhere/at/all"])
        }
        #expect(error?.description.contains("/nowhere/at/all") == true)
    }
}
