internal import FoundationEssentials
internal import Postgres
internal import Schema

/// The settings of CONTRACTS.md §2 as sluicectl uses them.
struct ControlSettings {
    let reader: SettingsReader

    static func load() throws -> ControlSettings {
        ControlSettings(reader: try SettingsReader(environment: ProcessInfo.processInfo.environment))
    }

    /// A connection for scripts as the given role.
    private func script(user: String, password: String) throws -> ScriptConnection.Settings {
        ScriptConnection.Settings(
            host: reader.text("SLUICE_DB_HOST") ?? "127.0.0.1",
            port: try reader.number("SLUICE_DB_PORT", default: 21001, in: 1...65535),
            database: reader.text("SLUICE_DB_NAME") ?? "sluice",
            user: user, password: password,
            tlsMode: reader.text("SLUICE_DB_TLS") ?? "disable",
            certificateAuthorityFile: reader.text("SLUICE_DB_CA_FILE"))
    }

    func migrator() throws -> ScriptConnection.Settings {
        try script(user: "sluice_migrate", password: reader.requiredSecret("SLUICE_DB_MIGRATE_PASSWORD"))
    }

    /// The role that all other commands work as.
    func control() throws -> ScriptConnection.Settings {
        try script(user: "sluice_control", password: reader.requiredSecret("SLUICE_DB_BACKGROUND_PASSWORD"))
    }

    func superuser() throws -> ScriptConnection.Settings {
        try script(
            user: reader.text("SLUICE_DB_SUPERUSER") ?? "postgres",
            password: reader.requiredSecret("SLUICE_DB_SUPERUSER_PASSWORD"))
    }

    /// The password of every role that signs in, from the folder SLUICE_SECRETS_DIR, a file `db-<role>` each.
    func rolePasswords() throws -> [String: String] {
        guard let folder = reader.text("SLUICE_SECRETS_DIR") else {
            throw SettingsErrors(["SLUICE_SECRETS_DIR: required, the folder with a file db-<role> for each role"])
        }
        var passwords: [String: String] = [:]
        var problems: [String] = []
        for role in Bootstrap.loginRoles {
            let path = "\(folder)/db-\(role)"
            passwords[role] = SettingsReader.firstLine(of: path)
            if passwords[role] == nil { problems.append("\(path): missing or empty") }
        }
        guard problems.isEmpty else { throw SettingsErrors(problems) }
        return passwords
    }
}
