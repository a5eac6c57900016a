internal import ArgumentParser
internal import ScoringService

struct EvidenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evidence", abstract: "Prove that the evidence ledger is what the events say.",
        discussion:
            "The ledger is what indicators rest on. It is built from the events of all services, which keep them.",
        subcommands: [Compare.self, Rebuild.self])

    struct Compare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Rebuild, bring the live ledger up to date, and tell what differs.")

        @OptionGroup var output: OutputOptions

        func run() async throws {
            let comparison = try await ControlDatabase.use { try await Ledger(database: $0.client).compare() }
            let differences = comparison.differences.map { difference in
                "  \(difference.whereFound): \(difference.what) \(difference.id) \(difference.detail)"
            }
            try output.show(
                comparison,
                ([
                    "\(comparison.live) rows of evidence, \(comparison.rebuilt) when built anew; "
                        + (comparison.isEqual ? "equal." : "\(comparison.differences.count) differences:")
                ] + differences)
                .joined(separator: "\n"))
            if !comparison.isEqual { throw Findings() }
        }
    }

    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the ledger anew beside the live one, from the other services' events alone.")

        @OptionGroup var output: OutputOptions

        struct Result: Encodable {
            var eventsRead: Int

            private enum CodingKeys: String, CodingKey { case eventsRead = "events_read" }
        }

        func run() async throws {
            let watched = output.progress || Terminal.isWatched
            let read = try await ControlDatabase.use { database in
                try await Ledger(database: database.client).rebuild { done in
                    if watched { Terminal.note("\(done) events read") }
                }
            }
            try output.show(
                Result(eventsRead: read), "\(read) events read; `sluicectl evidence compare` tells the differences.")
        }
    }
}
