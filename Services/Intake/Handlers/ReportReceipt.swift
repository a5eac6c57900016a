import FoundationEssentials
import Model
import Rules

/// What the sender of a report gets back. The code is shown this once (and again to whoever repeats the same request).
struct ReportReceipt: Codable, Sendable {
    struct Name: Codable, Sendable {
        var code: String
        var nameZH: String
        var nameEN: String

        private enum CodingKeys: String, CodingKey {
            case code
            case nameZH = "name_zh"
            case nameEN = "name_en"
        }

        init(_ place: PlaceIndex.Place) {
            code = place.code
            nameZH = place.nameZH
            nameEN = place.nameEN
        }

        init(code: String, nameZH: String, nameEN: String) {
            self.code = code
            self.nameZH = nameZH
            self.nameEN = nameEN
        }
    }

    struct Place: Codable, Sendable {
        var lon: Double
        var lat: Double
        var district: Name
        var street: Name?
        var grid: Name?
        var community: Name?
    }

    struct Sentence: Codable, Sendable {
        var zh: String
        var en: String
    }

    /// What became of a photo that came with the report.
    struct Photo: Codable, Sendable {
        var field: String
        /// The picture that may be shown; nil if the photo was refused.
        var sha256: String?
        var thumbnailSHA256: String?
        var refused: Refusal?

        struct Refusal: Codable, Sendable {
            var code: String
            var detail: String
            var detailZH: String

            private enum CodingKeys: String, CodingKey {
                case code, detail
                case detailZH = "detail_zh"
            }
        }

        private enum CodingKeys: String, CodingKey {
            case field, sha256, refused
            case thumbnailSHA256 = "thumbnail_sha256"
        }
    }

    var id: Report.ID
    var code: String
    var trackingURL: String
    var receivedAt: Timestamp
    var emergency: Bool
    /// False: the case is opened and told, but no crew is sent before somebody has confirmed it or a minute has passed.
    var verified: Bool
    var reason: Reason
    var category: Name
    var place: Place
    var advice: Sentence
    var photos: [Photo]

    private enum CodingKeys: String, CodingKey {
        case id, code, emergency, verified, reason, category, place, advice, photos
        case trackingURL = "tracking_url"
        case receivedAt = "received_at"
    }
}

extension ReportReceipt.Sentence {
    /// What to do until help comes.
    static func advice(emergency: Bool, code: EmergencyRule.Code?) -> Self {
        guard emergency else {
            return Self(
                zh: "已收到，可用查询码随时查看进展。", en: "Received. The code shows at any time what is being done.")
        }
        if code == .personAtRisk || code == .lifeWords {
            return Self(
                zh: "如有人员危险，请立即拨打110、119或120；请勿下井或涉水施救，并提醒他人远离。",
                en:
                    "If somebody is in danger call 110, 119 or 120 at once. Do not climb down or wade in; keep others away."
            )
        }
        return Self(
            zh: "已按应急处理。请远离积水、井口和塌陷处，并提醒他人绕行；如有人员危险请拨打110、119或120。",
            en:
                "Handled as an emergency. Keep away from water, open manholes and holes in the ground; if somebody is in danger call 110, 119 or 120."
        )
    }
}
