import Model
import Postgres

/// Rows on their way to the server: one JSON text, unpacked there by `json_populate_recordset`, so that a batch of any
/// size is one statement that is prepared once.
enum RecordText {
    static func text(of rows: [some Encodable]) throws -> String {
        try JSONBytes.text(of: rows)
    }
}

extension String {
    /// For the text of a statement that the program itself put together from its own literals.
    var asSQL: SQL { SQL(unsafe: self) }
}

/// A column as a coding key.
struct ColumnName: CodingKey, ExpressibleByStringLiteral {
    var stringValue: String
    var intValue: Int? { nil }

    init(stringLiteral value: String) { stringValue = value }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
