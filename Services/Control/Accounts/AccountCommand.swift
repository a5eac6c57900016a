internal import ArgumentParser
internal import FoundationEssentials
internal import IntakeService
internal import Model
internal import Postgres
internal import ServiceKit

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Make and change the accounts that sign in.",
        subcommands: [Create.self, List.self, Enable.self, Disable.self, Password.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make an account.")

        @Argument(help: "The name to sign in with: a-z, 0-9, '.', '_', '-', '@'.")
        var login: String

        @Option(help: "crew, dispatcher, office, manager, admin or system. May be repeated.")
        var role: [Role]

        @Option(help: "Code of a district, or 'city'. May be repeated.")
        var district: [String] = []

        @Option(help: "The name that others see.")
        var name: String?

        @Option(help: "File whose first line is the password; - is standard input. Without it one is made and printed.")
        var passwordFile: String?

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await ControlDatabase.use { database in
                let districts = try await DistrictCodes(database: database).ids(of: district)
                let password = try passwordFile.map(Passwords.read)
                let made = password == nil ? Passwords.generate() : nil
                let account = try await database.accounts.create(
                    login: login,
                    AccountChange(
                        displayName: name, roles: role, districts: districts, password: password ?? made),
                    actor: ControlDatabase.actor)
                try output.show(
                    AccountLine(account, password: made),
                    "Account \(account.login) made." + (made.map { " Its password: \($0)" } ?? ""))
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the accounts.")

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await ControlDatabase.use { database in
                var all: [StoredAccount] = []
                while true {
                    let page = try await database.accounts.list(after: all.last?.login, limit: 200)
                    all += page
                    if page.count < 200 { break }
                }
                let names = try await DistrictCodes(database: database).codes()
                let lines = all.map { account in
                    account.login.padded(to: 24) + account.roles.map(\.rawValue).joined(separator: ",").padded(to: 12)
                        + (account.isActive ? "active  " : "disabled").padded(to: 10)
                        + account.districts.map { names[$0.rawValue] ?? $0.description }.joined(separator: ",")
                        .padded(to: 14) + account.displayName
                }
                try output.show(all.map { AccountLine($0) }, lines.joined(separator: "\n"))
            }
        }
    }

    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a disabled account sign in again.")

        @Argument(help: "The account's login.")
        var login: String

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await change(login, AccountChange(isActive: true), output, "enabled")
        }
    }

    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep an account from signing in and end its sessions at once.")

        @Argument(help: "The account's login.")
        var login: String

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await change(login, AccountChange(isActive: false), output, "disabled; its sessions have ended")
        }
    }

    struct Password: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give an account a new password and end its sessions.")

        @Argument(help: "The account's login.")
        var login: String

        @Option(help: "File whose first line is the password; - is standard input. Without it one is made and printed.")
        var passwordFile: String?

        @OptionGroup var output: OutputOptions

        func run() async throws {
            let given = try passwordFile.map(Passwords.read)
            let made = given == nil ? Passwords.generate() : nil
            try await change(
                login, AccountChange(password: given ?? made), output,
                "has a new password" + (made.map { ": \($0)" } ?? ""), password: made)
        }
    }

    private static func change(
        _ login: String, _ change: AccountChange, _ output: OutputOptions, _ fact: String, password: String? = nil
    ) async throws {
        try await ControlDatabase.use { database in
            let account = try await database.accounts.change(login: login, change, actor: ControlDatabase.actor)
            try output.show(AccountLine(account, password: password), "Account \(account.login) \(fact).")
        }
    }
}

private struct AccountLine: Encodable {
    var accountID: String
    var login: String
    var displayName: String
    var roles: [Role]
    var districts: [String]
    var active: Bool
    var password: String?

    init(_ account: StoredAccount, password: String? = nil) {
        accountID = account.id.description
        login = account.login
        displayName = account.displayName
        roles = account.roles
        districts = account.districts.map(\.description)
        active = account.isActive
        self.password = password
    }

    private enum CodingKeys: String, CodingKey {
        case login, roles, districts, active, password
        case accountID = "account_id"
        case displayName = "display_name"
    }
}
