internal import ArgumentParser
internal import Postgres
internal import Schema

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database's schema to what this program needs.",
        discussion: """
            Each file of Shared/Schema/migrations is one transaction; a second run does nothing. --bootstrap makes the \
            roles, extensions and server settings first, as superuser, and is needed once a database and after an \
            upgrade of PostGIS; it does not migrate.
            """)

    @Flag(help: "Make roles with their passwords, extensions and marks, as superuser; then stop.")
    var bootstrap = false

    @Flag(help: "Only tell what would be applied.")
    var plan = false

    @OptionGroup var output: OutputOptions

    struct Result: Encodable {
        var bootstrapped = false
        var applied: [String] = []
        var pending: [String] = []
    }

    func run() async throws {
        let settings = try ControlSettings.load()
        if bootstrap {
            try await Bootstrap(server: settings.superuser(), passwords: settings.rolePasswords()).run()
            try output.show(Result(bootstrapped: true), "Roles, extensions and marks are in place.")
            return
        }
        let files = try MigrationFile.shipped()
        let migrator = Migrator(connection: try await ScriptConnection.open(settings.migrator()), files: files)
        if plan {
            let pending = try await migrator.plan().pending.map(\.name)
            let text = pending.isEmpty ? "Nothing to apply." : pending.joined(separator: "\n")
            try output.show(Result(pending: pending), text)
            return
        }
        let watched = output.progress || Terminal.isWatched
        let applied = try await migrator.migrate { file, index, count in
            if watched { Terminal.note("[\(index + 1)/\(count)] \(file.name)") }
        }
        let text = applied.isEmpty ? "The schema is up to date." : "Applied \(applied.joined(separator: ", "))."
        try output.show(Result(applied: applied), text)
    }
}
