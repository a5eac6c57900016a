import Postgres

/// What was wrong with one field of one row of an import: the row was refused, or the field repaired.
public struct ImportIssue: Encodable, Sendable {
    public var row: Int
    public var sourceID: String?
    public var severity: String
    public var field: String
    public var code: String
    public var detail: String

    enum CodingKeys: String, CodingKey {
        case row, severity, field, code, detail
        case sourceID = "source_id"
    }

    init(_ row: Row) throws {
        self.row = try row.decode("row_number")
        sourceID = try row.decode("source_id", as: String?.self)
        severity = try row.decode("severity")
        field = try row.decode("field")
        code = try row.decode("code")
        detail = try row.decode("detail")
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(row, forKey: .row)
        try container.encode(sourceID, forKey: .sourceID)
        try container.encode(severity, forKey: .severity)
        try container.encode(field, forKey: .field)
        try container.encode(code, forKey: .code)
        try container.encode(detail, forKey: .detail)
    }
}
