internal import AMQP
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
            host: try reader.text("SLUICE_DB_HOST") ?? "127.0.0.1",
            port: try reader.number("SLUICE_DB_PORT", default: portBase() + 1, in: 1...65535),
            database: try reader.text("SLUICE_DB_NAME") ?? "sluice",
            user: user, password: password,
            tlsMode: try reader.text("SLUICE_DB_TLS") ?? "disable",
            certificateAuthorityFile: try reader.text("SLUICE_DB_CA_FILE"))
    }

    func migrator() throws -> ScriptConnection.Settings {
        try script(user: "sluice_migrate", password: reader.requiredSecret("SLUICE_DB_MIGRATE_PASSWORD"))
    }

    /// Above it are the ports of the servers and services, by CONTRACTS.md §1.
    func portBase() throws(SettingsErrors) -> Int {
        try reader.number("SLUICE_PORT_BASE", default: 21_000, in: 1_024...65_000)
    }

    /// How people reach the city; also what tokens name as their issuer, to the letter as the services do.
    func publicURL() throws(SettingsErrors) -> String {
        try reader.origin("SLUICE_PUBLIC_URL", default: "http://127.0.0.1:8080")
    }

    /// The role that all commands but `migrate` work as.
    func database() throws -> PostgresConfiguration {
        let tls: PostgresConfiguration.TLS =
            switch try reader.text("SLUICE_DB_TLS") ?? "disable" {
            case "disable": .disable
            case "require": .require
            case "verify-full":
                .verifyFull(rootCertificateFile: try reader.text("SLUICE_DB_CA_FILE") ?? "")
            default: throw SettingsErrors(["SLUICE_DB_TLS: disable, require or verify-full"])
            }
        let script = try control()
        return PostgresConfiguration(
            host: script.host, port: script.port, database: script.database, user: script.user,
            password: script.password.map { Secret($0) }, tls: tls, applicationName: "sluicectl",
            connectTimeout: .seconds(5), queryDeadline: .seconds(300))
    }

    /// The same for whole scripts and large sets of rows.
    func control() throws -> ScriptConnection.Settings {
        try script(user: "sluice_control", password: reader.requiredSecret("SLUICE_DB_BACKGROUND_PASSWORD"))
    }

    /// 32 bytes.
    func masterKey() throws -> [UInt8] {
        guard let key = Data(base64Encoded: try reader.requiredSecret("SLUICE_MASTER_KEY")), key.count == 32 else {
            throw SettingsErrors(["SLUICE_MASTER_KEY: 32 bytes in base64"])
        }
        return Array(key)
    }

    /// The broker, as the user `control`.
    func amqp() throws -> AMQPConfiguration {
        let hosts = try reader.hosts("SLUICE_AMQP_HOSTS", default: "127.0.0.1:\(portBase() + 2)")
        let isVerified = try reader.text("SLUICE_AMQP_TLS") == "verify"
        let authorities = try reader.text("SLUICE_AMQP_CA_FILE")
        let configuration = AMQPConfiguration(
            hosts: hosts.map { AMQPConfiguration.Host($0.host, port: $0.port) },
            virtualHost: try reader.text("SLUICE_AMQP_VHOST") ?? "sluice",
            user: try reader.text("SLUICE_AMQP_USER") ?? "control",
            password: AMQPConfiguration.Password(try reader.requiredSecret("SLUICE_AMQP_PASSWORD")),
            tls: isVerified ? .verify(caFile: authorities) : .disable, connectionName: "sluicectl")
        guard configuration.faults.isEmpty else { throw SettingsErrors(configuration.faults) }
        return configuration
    }

    func superuser() throws -> ScriptConnection.Settings {
        try script(
            user: try reader.text("SLUICE_DB_SUPERUSER") ?? "postgres",
            password: reader.requiredSecret("SLUICE_DB_SUPERUSER_PASSWORD"))
    }

    /// The password of every role that signs in, from the folder SLUICE_SECRETS_DIR, a file `db-<role>` each.
    func rolePasswords() throws -> [String: String] {
        guard let folder = try reader.text("SLUICE_SECRETS_DIR") else {
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
