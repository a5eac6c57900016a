public import Postgres

/// What only a superuser can do, once a database: the database itself, roles with their passwords and time-outs,
/// extensions, LEAKPROOF marks. May be repeated; a repetition sets the passwords anew.
public struct Bootstrap: Sendable {
    /// Every role that signs in.
    public static let loginRoles: [String] =
        ["intake", "dispatch", "gis", "scoring", "notification"].flatMap { ["sluice_\($0)_http", "sluice_\($0)_bg"] }
        + ["sluice_control", "sluice_migrate"]

    private let server: ScriptConnection.Settings
    private let passwords: [String: String]

    /// - Parameters:
    ///   - server: as superuser, with the database that is to be made.
    ///   - passwords: one for each of `loginRoles`.
    public init(server: ScriptConnection.Settings, passwords: [String: String]) {
        self.server = server
        self.passwords = passwords
    }

    public func run() async throws {
        if let role = Self.loginRoles.first(where: { passwords[$0, default: ""].isEmpty }) {
            throw SchemaError.passwordMissing(role: role)
        }
        // Roles belong to the whole server, so bootstraps of two of its databases exclude each other here.
        var maintenance = server
        maintenance.database = "postgres"
        let gate = try await ScriptConnection.open(maintenance)
        try await gate.rows("SELECT pg_advisory_lock(hashtextextended('sluice.bootstrap', 0))")
        try await makeDatabase(gate)

        let connection = try await ScriptConnection.open(server)
        do {
            try await connection.run(MigrationFile.bootstrapScript())
        } catch let error as ScriptError {
            throw SchemaError.failed(file: "bootstrap.sql", error)
        }
        for role in Self.loginRoles {
            try await setPassword(passwords[role, default: ""], of: role, connection)
        }
        try await gate.rows("SELECT pg_advisory_unlock(hashtextextended('sluice.bootstrap', 0))")
    }

    private func makeDatabase(_ gate: ScriptConnection) async throws {
        let statement = try await gate.rows(
            """
            SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING ''UTF8''', $1::text)
            WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = $1)
            """, [server.database])
        if let statement = statement.first?[0] { try await gate.run(statement) }
    }

    private func setPassword(_ password: String, of role: String, _ connection: ScriptConnection) async throws {
        let statement = try await connection.rows(
            "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)",
            [role, connection.verifier(password: password, role: role)])
        if let statement = statement.first?[0] { try await connection.run(statement) }
    }
}
