internal import ArgumentParser
internal import IntakeService
internal import Model
internal import ServiceKit

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Make a bearer token for a script.",
        discussion: """
            The token speaks for the account until it expires, the account is disabled or the session is ended:

              curl -H "Authorization: Bearer $(sluicectl token dispatcher)" http://127.0.0.1:8080/v1/cases
            """)

    @Argument(help: "The account's login.")
    var login: String

    @Option(help: "Minutes that it lives, up to 1440.")
    var minutes = 10

    @OptionGroup var output: OutputOptions

    struct Result: Encodable {
        var token: String
        var minutes: Int
    }

    func validate() throws {
        guard (1...1440).contains(minutes) else { throw ValidationError("--minutes takes 1 to 1440") }
    }

    func run() async throws {
        try await ControlDatabase.use { database in
            let token = try await database.tokens().make(login: login, minutes: minutes)
            try output.show(Result(token: token, minutes: minutes), token)
        }
    }
}

/// Makes tokens for accounts by their logins.
struct Tokens: Sendable {
    let accounts: ManageAccounts
    let script: ScriptToken

    func make(login: String, minutes: Int) async throws -> String {
        guard let account = try await accounts.find(login: login) else {
            throw CommandFailure("there is no account \(login): see `sluicectl account list`")
        }
        guard account.isActive else { throw CommandFailure("the account \(login) is disabled") }
        return try await script.make(for: account, lifetime: .seconds(minutes * 60))
    }
}
