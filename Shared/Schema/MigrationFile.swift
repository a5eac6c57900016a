internal import Foundation

/// One step of the schema's history. A file never changes once it has landed.
public struct MigrationFile: Sendable, Hashable {
    /// `0001_foundation.sql`; files are applied in the order of their names.
    public let name: String
    public let sql: String

    public init(name: String, sql: String) {
        self.name = name
        self.sql = sql
    }

    /// The files that this program was built with, in order.
    public static func shipped() throws -> [MigrationFile] {
        let folder = try shippedFolder()
        return try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { isMigration($0) }
            .sorted()
            .map { name in
                MigrationFile(name: name, sql: try text(of: folder.appendingPathComponent(name)))
            }
    }

    /// What a superuser runs before the first migration; may be repeated.
    static func bootstrapScript() throws -> String {
        try text(of: shippedFolder().appendingPathComponent("bootstrap.sql"))
    }

    /// Four digits, `_`, a word, `.sql`.
    static func isMigration(_ name: String) -> Bool {
        name.wholeMatch(of: /[0-9]{4}_[a-z0-9_]+\.sql/) != nil
    }

    private static func text(of file: URL) throws -> String {
        try String(contentsOf: file, encoding: .utf8)
    }

    /// Beside the executable, as a package or an image installs them; else where SwiftPM built them.
    private static func shippedFolder() throws -> URL {
        let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let beside = executable.deletingLastPathComponent()
            .appendingPathComponent("sluice_Schema.resources/migrations")
        if FileManager.default.fileExists(atPath: beside.path) { return beside }
        guard let bundled = Bundle.module.url(forResource: "migrations", withExtension: nil) else {
            throw SchemaError.filesMissing
        }
        return bundled
    }
}
