import ControlCommands
import Testing

/// What scripts rely on: the exit status.
@Suite("The command line")
struct CommandLineTests {
    @Test(
        "wrong usage exits with 2",
        arguments: [
            ["migrat"], ["--nothing"], ["token"], ["token", "admin", "--minutes", "0"],
            ["drill", "storm", "--speed", "0"],
            ["reconcile", "--days", "81"], ["account", "create", "x", "--role", "king"], ["import", "f.geojson"],
            ["import", "f.geojson", "--district", "1"], ["dead", "retry", "not-an-id"],
            ["import", "f.geojson", "--district", "1", "--source", "", "--kind", "pipe", "--id", "x"],
        ])
    func usage(_ arguments: [String]) async {
        #expect(await Sluicectl.start(arguments) == 2)
    }

    @Test("help and version of every command are answers", arguments: [["--help"], ["drill", "storm", "--help"], []])
    func help(_ arguments: [String]) async {
        #expect(await Sluicectl.start(arguments) == 0)
    }

    @Test("missing settings exit with 2, an absent file with 1")
    func settings() async {
        // No password of any kind is in a test's environment.
        #expect(await Sluicectl.start(["migrate"]) == 2)
        #expect(await Sluicectl.start(["drill", "storm", "--script", "/nowhere/storm.csv"]) == 1)
    }
}
