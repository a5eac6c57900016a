public import Model

/// Decides whether a report is an emergency, from the category's data, the sender's words, the place and whether a
/// person is at risk. It errs on the urgent side; a dispatcher can lower what it raised.
public enum EmergencyRule {
    /// Stored with each decision. Raise it with every change that can change an answer.
    public static let version = 1

    /// What a category says about urgency (`dispatch.api_category`).
    public struct Category: Sendable, Hashable {
        public var code: String
        public var version: Int
        public var severity: Severity
        public var alwaysEmergency: Bool
        public var words: EmergencyWords
        /// Tags of places where this category is an emergency, such as `pedestrian`, `underpass`, `school`.
        public var places: Set<String>

        public init(
            code: String, version: Int, severity: Severity, alwaysEmergency: Bool, words: EmergencyWords,
            places: Set<String>
        ) {
            self.code = code
            self.version = version
            self.severity = severity
            self.alwaysEmergency = alwaysEmergency
            self.words = words
            self.places = places
        }
    }

    public enum Code: String, Codable, Sendable, CaseIterable {
        case personAtRisk = "person_at_risk"
        case lifeWords = "life_words"
        case category = "category"
        case words = "words"
        case place = "place"
        case routine = "routine"
    }

    /// What was decided, why, and from what.
    public struct Decision: Sendable, Hashable, Codable {
        public var emergency: Bool
        public var severity: Severity
        /// Its code is one of `Code`.
        public var reason: Reason
        public var ruleVersion: Int
        public var inputs: Inputs
    }

    /// What the decision rested on. Words come from the catalogue, never from the sender.
    public struct Inputs: Sendable, Hashable, Codable {
        public var category: String
        public var categoryVersion: Int
        public var categorySeverity: Severity
        public var personAtRisk: Bool
        public var matchedWord: String?
        public var matchedPlace: String?
        public var placeVersion: Int
    }

    /// Words that mean danger to life whatever the category.
    private static let lifeWords = EmergencyWords([
        "被困", "溺水", "落水", "掉进", "掉入", "跌入", "坠入", "冲走", "触电", "中毒", "窒息", "爆炸",
        "trapped", "drowning", "drowned", "fell in", "fallen in", "fell into", "swept away", "electrocuted",
        "electric shock", "unconscious", "explosion",
    ])

    /// - Parameters:
    ///   - text: what the sender wrote; only looked at, never repeated in the decision.
    ///   - placeTags: tags of every area that holds the place.
    ///   - placeVersion: version of the map that the tags come from.
    public static func decide(
        category: Category, text: String, placeTags: Set<String>, placeVersion: Int, personAtRisk: Bool
    ) -> Decision {
        var inputs = Inputs(
            category: category.code, categoryVersion: category.version, categorySeverity: category.severity,
            personAtRisk: personAtRisk, matchedWord: nil, matchedPlace: nil, placeVersion: placeVersion)
        func decision(_ code: Code, _ severity: Severity, zh: String, en: String) -> Decision {
            Decision(
                emergency: code != .routine, severity: max(severity, category.severity),
                reason: Reason(code.rawValue, zh: zh, en: en), ruleVersion: version, inputs: inputs)
        }
        if personAtRisk {
            return decision(
                .personAtRisk, .lifeAtRisk, zh: "报告人说明有人处于危险中。", en: "The sender says that a person is at risk.")
        }
        if let word = lifeWords.firstMatch(in: text) {
            inputs.matchedWord = word
            return decision(
                .lifeWords, .lifeAtRisk, zh: "描述中出现危及生命的字词“\(word)”。",
                en: "The description has the words \"\(word)\", which mean danger to life.")
        }
        if category.alwaysEmergency {
            return decision(
                .category, .high, zh: "该类别一律按应急处理。", en: "Every report of this category is an emergency.")
        }
        if let word = category.words.firstMatch(in: text) {
            inputs.matchedWord = word
            return decision(
                .words, .high, zh: "描述中出现该类别的应急字词“\(word)”。",
                en: "The description has the words \"\(word)\", which make this category an emergency.")
        }
        if let tag = placeTags.intersection(category.places).min() {
            inputs.matchedPlace = tag
            return decision(
                .place, .high, zh: "该类别发生在“\(tag)”场所时按应急处理。",
                en: "This category is an emergency in a place of the kind \"\(tag)\".")
        }
        return decision(
            .routine, category.severity, zh: "没有应急的依据：按常规处理。",
            en: "Nothing in the category, the words or the place makes it an emergency.")
    }
}
