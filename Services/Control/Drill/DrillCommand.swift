internal import ArgumentParser
internal import FoundationEssentials

struct DrillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drill", abstract: "Rehearse: replay a storm through the running city.",
        subcommands: [StormCommand.self, MakeCommand.self], defaultSubcommand: nil)

    struct StormCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "storm", abstract: "Post a recorded storm's reports and let simulated crews and offices act.",
            discussion: """
                Everything goes over HTTP like real reports, marked with the channel `drill`. The shipped storm is made up, \
                because the real ones may be read and not copied. --script also takes Norfolk's flooded streets and \
                --routine Boston's catch-basin requests, in files that you have; both are mapped onto the sample city. \
                Ends with a report and a reconciliation; exits with 3 if that does not balance to zero, a report was \
                refused, or at the end an emergency is told to nobody or has no crew although one could be had.
                """)

        @Option(help: "The storm: a script of `drill make`, or Norfolk's CSV.")
        var script: String?

        @Option(help: "Routine load besides: a script, or Boston's Catchbasin.csv.")
        var routine: String?

        @Option(help: "So many times as fast as it was.")
        var speed = 120.0

        @Option(help: "At most so many reports on their way at a time.")
        var concurrency = 64

        @Option(help: "Only the first so many reports.")
        var reports: Int?

        @Option(help: "Wait so many seconds for everything to be decided.")
        var settle = 120

        @Option(help: "Where the city is reached; SLUICE_PUBLIC_URL if not given.")
        var url: String?

        @Flag(help: "Post reports as residents who are not signed in. Many emergencies of one sender wait a minute.")
        var anonymous = false

        @Flag(help: "Let no crews and offices act.")
        var noPeople = false

        @OptionGroup var output: OutputOptions

        func validate() throws {
            guard speed > 0, speed.isFinite else { throw ValidationError("--speed is above 0") }
            guard (1...10_000).contains(concurrency) else { throw ValidationError("--concurrency takes 1 to 10000") }
            guard settle >= 0 else { throw ValidationError("--settle is not below 0") }
            if let reports, reports < 1 { throw ValidationError("--reports is above 0") }
        }

        func run() async throws {
            let storm = try StormFile.load(script: script, routine: routine, reports: reports)
            let report = try await ControlDatabase.use { database in
                let base = if let url { url } else { try database.settings.publicURL() }
                let drill = StormDrill(
                    database: database, base: base, storm: storm, speed: speed,
                    concurrency: concurrency, settle: .seconds(settle), isAnonymous: anonymous,
                    hasPeople: !noPeople, output: output)
                return try await drill.run()
            }
            try output.show(report, report.text)
            if !report.isClean { throw Findings() }
        }
    }

    struct MakeCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "make", abstract: "Make up a storm and print its script.",
            discussion: "The same seed makes the same storm. The shipped one is of seed 1, 240 reports, two hours.")

        @Option(help: "Any number.")
        var seed: UInt64 = 1

        @Option(help: "How many reports.")
        var reports = 240

        @Option(help: "How many minutes it lasts.")
        var minutes = 120

        func validate() throws {
            guard (1...1_000_000).contains(reports), (1...10_000).contains(minutes) else {
                throw ValidationError("--reports takes 1 to 1000000, --minutes 1 to 10000")
            }
        }

        func run() async throws {
            var maker = StormMaker(seed: seed)
            Terminal.line(String(maker.make(reports: reports, duration: Double(minutes) * 60).csv.dropLast()))
        }
    }
}
