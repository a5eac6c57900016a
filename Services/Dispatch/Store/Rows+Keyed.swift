import Postgres

extension Rows {
    /// The records of these rows by their keys; the first of two with one key.
    func keyed<Key: Hashable, Record>(
        by key: (Record) -> Key, _ record: (Row) throws -> Record
    ) rethrows -> [Key: Record] {
        try reduce(into: [:]) { found, row in
            let record = try record(row)
            if found[key(record)] == nil { found[key(record)] = record }
        }
    }
}
