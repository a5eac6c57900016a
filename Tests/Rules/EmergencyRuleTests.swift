import Model
import Rules
import Testing

@Suite("What is an emergency")
struct EmergencyRuleTests {
    private static func category(
        always: Bool = false, words: [String] = [], places: Set<String> = [], severity: Severity = .normal
    ) -> EmergencyRule.Category {
        EmergencyRule.Category(
            code: "cover", version: 7, severity: severity, alwaysEmergency: always, words: EmergencyWords(words),
            places: places)
    }

    private static func decide(
        _ category: EmergencyRule.Category, _ text: String = "", tags: Set<String> = [], risk: Bool = false
    ) -> EmergencyRule.Decision {
        EmergencyRule.decide(
            category: category, text: text, placeTags: tags, placeVersion: 3, personAtRisk: risk)
    }

    struct Row: Sendable, CustomTestStringConvertible {
        var what: String
        var decision: EmergencyRule.Decision
        var code: EmergencyRule.Code
        var severity: Severity
        var testDescription: String { what }
    }

    static let rows: [Row] = [
        Row(what: "nothing urgent", decision: decide(category(), "井盖有点响"), code: .routine, severity: .normal),
        Row(
            what: "a person at risk", decision: decide(category(), risk: true), code: .personAtRisk,
            severity: .lifeAtRisk),
        Row(
            what: "life words, whatever the category", decision: decide(category(), "有小孩掉进井里"), code: .lifeWords,
            severity: .lifeAtRisk),
        Row(
            what: "life words in English", decision: decide(category(), "A man FELL IN and is trapped"),
            code: .lifeWords, severity: .lifeAtRisk),
        Row(what: "always", decision: decide(category(always: true)), code: .category, severity: .high),
        Row(
            what: "a word of the category", decision: decide(category(words: ["没有井盖"]), "路边没有井盖"), code: .words,
            severity: .high),
        Row(
            what: "a special place", decision: decide(category(places: ["school", "underpass"]), tags: ["underpass"]),
            code: .place, severity: .high),
        Row(
            what: "a place that means nothing here", decision: decide(category(places: ["school"]), tags: ["market"]),
            code: .routine, severity: .normal),
        Row(
            what: "the category's own severity is kept if it is higher",
            decision: decide(category(always: true, severity: .lifeAtRisk)), code: .category, severity: .lifeAtRisk),
        Row(
            what: "denied right before", decision: decide(category(), "水很深但无人被困"), code: .routine, severity: .normal),
        Row(
            what: "denied in English", decision: decide(category(), "Deep water, no one is trapped"), code: .routine,
            severity: .normal),
        Row(
            what: "a denial of something else does not count",
            decision: decide(category(), "没有人知道井在哪，老人被困"), code: .lifeWords, severity: .lifeAtRisk),
        Row(
            what: "said once without denial is enough",
            decision: decide(category(), "not trapped before, but now trapped"), code: .lifeWords,
            severity: .lifeAtRisk),
        Row(
            what: "part of another English word", decision: decide(category(words: ["gas"]), "the gasket leaks"),
            code: .routine, severity: .normal),
        Row(
            what: "full-width letters", decision: decide(category(words: ["gas"]), "ＧＡＳ 味道"), code: .words,
            severity: .high),
        Row(
            what: "line breaks between words", decision: decide(category(words: ["no cover"]), "there is no\n cover"),
            code: .words, severity: .high),
    ]

    @Test("each ground, and what is none", arguments: rows)
    func grounds(row: Row) {
        #expect(row.decision.reason.code == row.code.rawValue)
        #expect(row.decision.emergency == (row.code != .routine))
        #expect(row.decision.severity == row.severity)
        #expect(!row.decision.reason.zh.isEmpty && !row.decision.reason.en.isEmpty)
    }

    @Test("the decision names what it rested on, and nothing that the sender wrote")
    func inputs() {
        let decision = Self.decide(Self.category(words: ["塌陷"]), "王先生说这里塌陷了 13800000000", tags: ["school"])
        #expect(decision.inputs.matchedWord == "塌陷")
        #expect(decision.inputs.categoryVersion == 7 && decision.inputs.placeVersion == 3)
        #expect(decision.ruleVersion == EmergencyRule.version)
        #expect(!decision.reason.zh.contains("13800000000") && !decision.reason.en.contains("王"))
    }

    @Test(
        "looking for words takes any text",
        arguments: ["", " ", "\u{0}", "没", "no", String(repeating: "无人", count: 900)])
    func anyText(text: String) {
        #expect(EmergencyWords(["被困", "no cover", ""]).firstMatch(in: text) == nil)
    }
}
