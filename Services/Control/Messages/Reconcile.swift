internal import ArgumentParser
internal import Model
internal import Outbox
internal import ServiceKit

struct Reconcile: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prove that nothing is lost: where is every report and every event?",
        discussion: """
            Every report that was accepted is in exactly one place: a case, rejected with a reason, dead, or on its way. Every \
            event that somebody must act on is in its publisher's outbox or has arrived. What is nowhere is announced again, \
            as the services themselves do each minute. Exits with 3 if anything was nowhere; a second run a minute later \
            should then balance.
            """)

    @Option(help: "Look at so many days; the services look 80 days back each night.")
    var days = 1

    @Option(help: "What is younger than so many seconds may still be in the broker's queues.")
    var grace = 120

    @Flag(help: "Only look; announce nothing again.")
    var dryRun = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...80).contains(days) else { throw ValidationError("--days takes 1 to 80") }
        guard (0...86_400).contains(grace) else { throw ValidationError("--grace takes 0 to 86400") }
    }

    func run() async throws {
        let balance = try await ControlDatabase.use { database in
            try await Reconciliation(database: database).run(
                days: days, grace: grace, announcing: !dryRun, bar: output.bar("Reconcile", total: 4))
        }
        try output.show(balance, balance.text)
        if !balance.isClean { throw Findings() }
    }
}

/// The balance over a span, of reports and of events.
struct Balance: Encodable, Sendable {
    struct Hop: Encodable, Sendable {
        var publisher: ServiceName
        var examined: Int
        var inOutbox: Int
        var arrived: Int
        var missing: [String]
        var announcedAgain: Int
    }

    var reports: ReportBalance
    var hops: [Hop]

    /// Nothing is nowhere.
    var isClean: Bool { reports.missing == 0 && hops.allSatisfy(\.missing.isEmpty) }

    var text: String {
        let events = hops.map { hop in
            "\(hop.publisher.rawValue.padded(to: 13))\(hop.examined) events: \(hop.arrived) arrived, "
                + "\(hop.inOutbox) in the outbox, \(hop.missing.count) missing"
                + (hop.announcedAgain > 0 ? ", \(hop.announcedAgain) announced again" : "")
        }
        let exceptions = hops.flatMap { hop in hop.missing.prefix(20).map { "  \(hop.publisher.rawValue) \($0)" } }
        return ([reports.text] + events + exceptions + [isClean ? "Balanced." : "NOT balanced."])
            .joined(separator: "\n")
    }
}

struct Reconciliation: Sendable {
    let database: ControlDatabase

    /// - Parameter grace: seconds; what is younger counts as on its way.
    func run(days: Int, grace: Int, announcing: Bool, bar: ProgressBar) async throws -> Balance {
        let now = Sources.system.now()
        let from = now - .seconds(86_400 * days)
        var hops: [Balance.Hop] = []
        for publisher in [ServiceName.intake, .dispatch, .notification] {
            let report = try await Healer(service: publisher, database: database.client)
                .reconcile(from..<(now - .seconds(grace)), announcing: announcing)
            hops.append(
                Balance.Hop(
                    publisher: publisher, examined: report.examined, inOutbox: report.inOutbox,
                    arrived: report.arrived, missing: report.missing.map(\.description),
                    announcedAgain: report.announcedAgain))
            bar.advance()
        }
        let reports = try await ReportBalance.read(since: from, grace: grace, database)
        bar.finish()
        return Balance(reports: reports, hops: hops)
    }
}
