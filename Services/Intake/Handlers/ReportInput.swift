import Model
import Postgres

/// The languages in which a sender is answered.
enum ReportLanguage: String, Codable, Sendable, CaseIterable {
    case zh, en
}

extension ReportLanguage: PostgresEncodable, PostgresDecodable {}

/// What a sender says: the body of `POST /v1/reports`.
struct ReportInput: Decodable, Sendable {
    struct ContactInput: Decodable, Sendable {
        var name: String?
        var phone: String?
        var email: String?
    }

    var category: String
    var description: String?
    /// Degrees, CRS84; or one of the codes below instead.
    var lon: Double?
    var lat: Double?
    var facilityCode: String?
    var communityCode: String?
    var address: String?
    var observedAt: Timestamp?
    var personAtRisk: Bool?
    var contact: ContactInput?
    var language: ReportLanguage?
    var channel: ReportChannel?

    private enum CodingKeys: String, CodingKey {
        case category, description, lon, lat, address, contact, language, channel
        case facilityCode = "facility_code"
        case communityCode = "community_code"
        case observedAt = "observed_at"
        case personAtRisk = "person_at_risk"
    }
}
