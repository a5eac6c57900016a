public import Postgres

public enum SchemaError: Error, Sendable, CustomStringConvertible {
    /// The .sql files that belong beside the program are not there.
    case filesMissing
    /// Files that were applied and have other text now.
    case changed([String])
    /// The database has had migrations that this program does not know: it is newer than the program.
    case unknown([String])
    case failed(file: String, ScriptError)
    /// A file has COMMIT or ROLLBACK in it, so it is not one transaction with its own record.
    case endsItsTransaction(file: String)
    /// The roles are missing.
    case notBootstrapped
    case passwordMissing(role: String)

    public var description: String {
        switch self {
        case .filesMissing:
            "the migrations are missing: the folder sluice_Schema.resources belongs beside the program"
        case .changed(let names):
            "changed after it was applied: \(names.joined(separator: ", ")). A migration never changes; "
                + "put the change into a new file"
        case .unknown(let names):
            "the database is newer than this program: it has had \(names.joined(separator: ", "))"
        case .failed(let file, let error):
            "\(file): \(error)"
        case .endsItsTransaction(let file):
            "\(file) ends its transaction itself; each file is one transaction with its record"
        case .notBootstrapped:
            "the database has no roles yet: run `sluicectl migrate --bootstrap` once as superuser"
        case .passwordMissing(let role):
            "no password for the role \(role)"
        }
    }
}
