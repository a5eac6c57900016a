public import Postgres

/// Brings a database's schema to what this program needs. Each file is one transaction together with its record in
/// `sluice.migration`; two migrators exclude each other.
public struct Migrator: Sendable {
    /// What has been and what is to be applied.
    public struct Plan: Sendable, Hashable {
        public var applied: [String]
        public var pending: [MigrationFile]
    }

    private let connection: ScriptConnection
    private let files: [MigrationFile]

    /// - Parameter connection: as `sluice_migrate`, which acts as `sluice_owner`.
    public init(connection: ScriptConnection, files: [MigrationFile]) {
        self.connection = connection
        self.files = files.sorted { $0.name < $1.name }
    }

    /// Compares the files with the database's record; changes nothing.
    public func plan() async throws -> Plan {
        let recorded = try await record()
        var changed: [String] = []
        var pending: [MigrationFile] = []
        for file in files {
            guard let applied = recorded[file.name] else {
                pending.append(file)
                continue
            }
            if try await digest(of: file) != applied { changed.append(file.name) }
        }
        let known = Set(files.map(\.name))
        let unknown = recorded.keys.filter { !known.contains($0) }.sorted()
        if !changed.isEmpty { throw SchemaError.changed(changed) }
        if !unknown.isEmpty { throw SchemaError.unknown(unknown) }
        return Plan(applied: recorded.keys.sorted(), pending: pending)
    }

    /// Applies what is missing; answers the names.
    /// - Parameter willApply: called before each file with its place and the number of all.
    @discardableResult
    public func migrate(
        willApply: @Sendable (_ file: MigrationFile, _ index: Int, _ count: Int) -> Void = { _, _, _ in }
    ) async throws -> [String] {
        guard try await connection.rows("SELECT 1 WHERE to_regrole('sluice_owner') IS NOT NULL").isEmpty == false
        else { throw SchemaError.notBootstrapped }
        try await connection.rows("SELECT pg_advisory_lock(hashtextextended('sluice.migrate', 0))")
        do {
            try await makeRecord()
            let pending = try await plan().pending
            for (index, file) in pending.enumerated() {
                willApply(file, index, pending.count)
                try await apply(file)
            }
            try await connection.rows("SELECT pg_advisory_unlock(hashtextextended('sluice.migrate', 0))")
            return pending.map(\.name)
        } catch {
            // The lock ends with the connection if it cannot be given back here.
            _ = try? await connection.rows("SELECT pg_advisory_unlock(hashtextextended('sluice.migrate', 0))")
            throw error
        }
    }

    private func apply(_ file: MigrationFile) async throws {
        try await connection.run("BEGIN; SET LOCAL ROLE sluice_owner")
        do {
            try await connection.run(file.sql)
            guard await connection.transactionState == .open else {
                throw SchemaError.endsItsTransaction(file: file.name)
            }
            try await connection.rows(
                "INSERT INTO sluice.migration (name, sha256) VALUES ($1, sha256(convert_to($2, 'UTF8')))",
                [file.name, file.sql])
            try await connection.run("COMMIT")
        } catch {
            if await connection.transactionState != .idle { _ = try? await connection.run("ROLLBACK") }
            if let error = error as? ScriptError { throw SchemaError.failed(file: file.name, error) }
            throw error
        }
    }

    private func makeRecord() async throws {
        try await connection.run(
            """
            BEGIN;
            SET LOCAL ROLE sluice_owner;
            CREATE SCHEMA IF NOT EXISTS sluice;
            CREATE TABLE IF NOT EXISTS sluice.migration (
                name       text PRIMARY KEY,
                sha256     bytea NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
            );
            COMMENT ON TABLE sluice.migration IS 'Which files made this schema';
            COMMIT
            """)
    }

    /// Digest in hexadecimal by name; empty before the first migration.
    private func record() async throws -> [String: String] {
        guard try await connection.rows("SELECT 1 WHERE to_regclass('sluice.migration') IS NOT NULL").isEmpty == false
        else { return [:] }
        let rows = try await connection.rows("SELECT name, encode(sha256, 'hex') FROM sluice.migration")
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", $0[1] ?? "") })
    }

    private func digest(of file: MigrationFile) async throws -> String? {
        try await connection.rows("SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')", [file.sql]).first?[0]
    }
}
