import Model
import Testing

@testable import ControlCommands

@Suite("The import command")
struct ImportCommandTests {
    @Test(
        "options that do not belong to the kind are wrong usage",
        arguments: [
            ["--kind", "streets"], ["--kind", "street", "--district", "1"], ["--kind", "street", "--id", "x"],
            ["--kind", "street", "--time-zone", "UTC"], ["--kind", "responsibility", "--parent", "x"],
            ["--kind", "responsibility", "--source", "x"],
            ["--kind", "pipe", "--district", "1", "--source", "s", "--id", "x", "--parent", "p"],
            ["--kind", "pipe", "--source", "s", "--id", "x"],
        ])
    func usage(_ options: [String]) async {
        // The file is not there, which would be 1.
        #expect(await Sluicectl.start(["import", "/nowhere/file"] + options) == 2)
    }

    @Test(
        "each kind reads its file before it asks for a database",
        arguments: [
            ["--kind", "district"], ["--kind", "street", "--code", "DM", "--parent", "QDM"],
            ["--kind", "responsibility", "--time-zone", "Asia/Shanghai"],
            ["--kind", "pipe", "--district", "1", "--source", "s", "--id", "x"],
        ])
    func absent(_ options: [String]) async {
        #expect(await Sluicectl.start(["import", "/nowhere/file"] + options) == 1)
    }

    @Test("what a kind may be is every level, responsibility and every kind of facility")
    func kinds() {
        #expect(ImportKind(argument: "community") == .areas(.community))
        #expect(ImportKind(argument: "responsibility") == .responsibility)
        #expect(ImportKind(argument: "gully") == .facilities(.gully))
        #expect(ImportKind(argument: "city") == nil)
        #expect(ImportKind.allValueStrings.allSatisfy { ImportKind(argument: $0) != nil })
    }

    @Test("a list of responsibility needs its columns and a row; dirt of an export is no row")
    func table() throws {
        let file = try ResponsibilityFile(
            "\u{FEFF}level,code,person_id,person_name,from,until\r\nstreet,s1,,\"李, 娜\",2026-01-01,\r\n\r\n")
        #expect(file.lines.count == 1)
        #expect(throws: CommandFailure.self) { try ResponsibilityFile("level,code,person_name,from\n") }
        let failure = #expect(throws: CommandFailure.self) { try ResponsibilityFile("level;code\nstreet;s1\n") }
        #expect(failure?.description == "no column level, code, person_name, from")
    }
}
