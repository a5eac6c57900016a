public import Model
public import Postgres

// The model's values as parameters and columns. They live here because Model knows no database and Postgres no model.

extension Identifier: PostgresEncodable, PostgresDecodable {}

/// As `timestamptz`, to the microsecond.
extension Timestamp: PostgresEncodable, PostgresDecodable {
    public static var postgresType: UInt32 { 1184 }
    public static var postgresArrayType: UInt32 { 1185 }
    public var postgresText: String? { description }

    public static func decode(postgres cell: PostgresCell) throws -> Timestamp {
        let text = try cell.requiredText()
        guard let value = Timestamp(text) else {
            throw PostgresError(.decoding, "a time is not in the server's ISO form")
        }
        return value
    }
}

extension Lane: PostgresEncodable, PostgresDecodable {}
extension ServiceName: PostgresEncodable, PostgresDecodable {}
extension EventType: PostgresEncodable, PostgresDecodable {}
extension Severity: PostgresEncodable, PostgresDecodable {}
extension CaseState: PostgresEncodable, PostgresDecodable {}
extension OrderState: PostgresEncodable, PostgresDecodable {}
extension ReportKind: PostgresEncodable, PostgresDecodable {}
extension ReportChannel: PostgresEncodable, PostgresDecodable {}
extension ReportOutcome: PostgresEncodable, PostgresDecodable {}
extension CommunityType: PostgresEncodable, PostgresDecodable {}
extension PlaceLevel: PostgresEncodable, PostgresDecodable {}
extension FacilityKind: PostgresEncodable, PostgresDecodable {}
extension PipeSystem: PostgresEncodable, PostgresDecodable {}
extension Role: PostgresEncodable, PostgresDecodable {}
extension NoticePurpose: PostgresEncodable, PostgresDecodable {}
extension NoticeState: PostgresEncodable, PostgresDecodable {}
extension StormLevel: PostgresEncodable, PostgresDecodable {}
