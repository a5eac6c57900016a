internal import ArgumentParser
internal import Model
internal import NotificationService
internal import Postgres

struct Seed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Load the sample city: map, people, crews, catalogue, offices, accounts.",
        discussion: """
            The city is made up (names of districts and streets and the pipes are real, see Sample/NOTICE.md) and says so \
            in its names. May be repeated: what is there stays as it is. Its accounts share one demonstration password \
            (SLUICE_DEMO_PASSWORD, else `\(SeedDefaults.password)`), so never seed a city that the internet can reach.
            """)

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let settings = try ControlSettings.load()
        let password = try settings.reader.text("SLUICE_DEMO_PASSWORD") ?? SeedDefaults.password
        let city = try SampleCity()
        let rows = SampleRows(connection: try await ScriptConnection.open(settings.control()))
        let bar = output.bar("Sample city", total: 4)

        var tables = try await rows.addRegister(city)
        bar.advance()
        tables += try await rows.addOperations(city)
        bar.advance()
        tables += try await rows.addAccounts(city, passwordHash: Passwords.hash(password))
        bar.advance()
        tables += try await rows.addOffices(city)
        // Without the master key nobody could read the addresses.
        let master = try settings.masterKey()
        tables += try await rows.addChannels(city, keys: NotificationKeys(master: master))
        bar.finish()

        let result = SeedResult(tables: tables, signIns: SeedDefaults.signIns, password: password)
        try output.show(result, result.text)
    }
}

enum SeedDefaults {
    static let password = "sluice-demo-2026"

    /// One login of each role, to show.
    static let signIns: [SeedResult.SignIn] = [
        .init(role: .admin, login: "admin"), .init(role: .manager, login: "manager"),
        .init(role: .dispatcher, login: "dispatcher"), .init(role: .office, login: "office-futian"),
        .init(role: .crew, login: "crew-futian-1"),
    ]
}

struct SeededTable: Encodable {
    var table: String
    var added: Int

    init(_ table: String, _ added: Int) {
        self.table = table
        self.added = added
    }
}

struct SeedResult: Encodable {
    struct SignIn: Encodable {
        var role: Role
        var login: String
    }

    var tables: [SeededTable]
    var signIns: [SignIn]
    var password: String

    var text: String {
        let added = tables.reduce(0) { $0 + $1.added }
        let news = added == 0 ? "The sample city was there already." : "Sample city (made up): \(added) rows added."
        let logins = signIns.map { signIn in
            "  " + signIn.role.rawValue.padded(to: 12) + signIn.login
        }
        return ([news, "Sign in, each with the password \(password) unless it was changed:"] + logins)
            .joined(separator: "\n")
    }
}

extension String {
    /// Left-aligned in a column of that many characters; never without a space after it.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(1, width - count))
    }
}
