public import ArgumentParser
internal import Postgres
internal import ServiceKit

/// The operator's tool.
public struct Sluicectl: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "sluicectl",
        abstract: "Operates Sluice: schema, sample city, accounts, drills, checks.",
        discussion: """
            Settings come from the environment and from the file that SLUICE_CONFIG_FILE names (deploy/sluicectl sets \
            it). Results go to standard output, progress and errors to standard error.

            EXIT STATUS:
              0  done
              1  failed
              2  wrong usage or settings
              3  done, and something was found: an imbalance, a failed check, a difference
            """,
        subcommands: [
            Migrate.self, Seed.self, AccountCommand.self, TokenCommand.self, ImportCommand.self, DrillCommand.self,
            Reconcile.self, DeadCommand.self, EvidenceCommand.self, Doctor.self,
        ])

    public init() {}

    /// Parses and runs one command; answers the exit status.
    public static func start(_ arguments: some Sequence<String>) async -> Int32 {
        do {
            var command = try parseAsRoot(Array(arguments))
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return ExitStatus.done
        } catch let found as Findings {
            if let message = found.message { Terminal.error(message) }
            return ExitStatus.findings
        } catch let problem as Problem {
            Terminal.error(
                ([problem.detail] + problem.fields.map { "  \($0.field): \($0.detail)" }).joined(separator: "\n"))
            return ExitStatus.failed
        } catch let error as PostgresError where error.sqlState == "42P01" || error.sqlState == "42883" {
            Terminal.error("\(error): the schema is not that of this program; run `sluicectl migrate`")
            return ExitStatus.failed
        } catch let errors as SettingsErrors {
            Terminal.error(errors.description)
            return ExitStatus.usage
        } catch {
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            if code.isSuccess {
                // Help and version are answers, not errors.
                Terminal.line(text)
            } else if !text.isEmpty {
                Terminal.error(text)
            }
            return code == .validationFailure ? ExitStatus.usage : code.rawValue
        }
    }
}

enum ExitStatus {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    static let findings: Int32 = 3
}

/// The command did its work and what it found needs somebody's attention.
struct Findings: Error {
    var message: String?
}

/// What went wrong, in a sentence for whoever typed the command.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }
}
