internal import ArgumentParser

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check everything that can be set up wrongly, and say how to mend it.",
        discussion: "Looks only; changes nothing. Exits with 3 if a check failed.")

    @Flag(help: "Show the checks that passed, too.")
    var all = false

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let settings = try ControlSettings.load()
        let groups: [any CheckGroup] = [
            SecretChecks(settings: settings), DatabaseChecks(settings: settings), BrokerChecks(settings: settings),
            ServiceChecks(settings: settings), MachineChecks(settings: settings),
        ]
        let bar = output.bar("Checks", total: groups.count)
        var findings: [CheckFinding] = []
        for group in groups {
            findings += await group.run()
            bar.advance()
        }
        bar.finish()
        let shown = all ? findings : findings.filter { $0.status != .good }
        let failed = findings.count { $0.status == .bad }
        let warned = findings.count { $0.status == .doubtful }
        let summary = "\(findings.count) checks: \(failed) failed, \(warned) doubtful."
        try output.show(findings, (shown.map(\.text) + [summary]).joined(separator: "\n"))
        if failed > 0 { throw Findings() }
    }
}

/// What a check found.
struct CheckFinding: Encodable {
    enum Status: String, Encodable {
        case good, doubtful, bad
    }

    /// Stable word for scripts, such as `database.leakproof`.
    var check: String
    var status: Status
    var fact: String
    /// What to do; nil if all is well.
    var mend: String?

    static func good(_ check: String, _ fact: String) -> CheckFinding {
        CheckFinding(check: check, status: .good, fact: fact)
    }

    static func doubtful(_ check: String, _ fact: String, mend: String) -> CheckFinding {
        CheckFinding(check: check, status: .doubtful, fact: fact, mend: mend)
    }

    static func bad(_ check: String, _ fact: String, mend: String) -> CheckFinding {
        CheckFinding(check: check, status: .bad, fact: fact, mend: mend)
    }

    var text: String {
        let mark =
            switch status {
            case .good: "ok    "
            case .doubtful: "doubt "
            case .bad: "FAIL  "
            }
        return mark + check.padded(to: 28) + fact + (mend.map { "\n      → \($0)" } ?? "")
    }
}

protocol CheckGroup: Sendable {
    func run() async -> [CheckFinding]
}
