import FoundationEssentials
import Model
import Postgres
import Rules

/// A row of `dispatch.decision`: what was decided about a case, why, from which inputs, by which version of the rule.
struct DecisionRecord: Encodable, Sendable, Hashable {
    enum Kind: String, Codable, Sendable, CaseIterable {
        case triage, claim, clock, overdue, silence, displacement, observation, act
    }

    var decisionID: UUID
    var districtID: District.ID
    var caseID: Case.ID
    var orderID: WorkOrder.ID?
    var reportID: Report.ID?
    var kind: Kind
    var what: String
    var reason: Reason
    var inputs: [String: JSONValue]
    var ruleVersion: Int
    var actor: String
    var decidedAt: Timestamp

    private enum CodingKeys: String, CodingKey {
        case decisionID = "decision_id"
        case districtID = "district_id"
        case caseID = "case_id"
        case orderID = "order_id"
        case reportID = "report_id"
        case kind, what
        case reasonCode = "reason_code"
        case reasonZH = "reason_zh"
        case reasonEN = "reason_en"
        case inputs
        case ruleVersion = "rule_version"
        case actor
        case decidedAt = "decided_at"
    }

    func encode(to encoder: any Encoder) throws {
        var row = encoder.container(keyedBy: CodingKeys.self)
        try row.encode(Identifier<Self>(decisionID), forKey: .decisionID)
        try row.encode(districtID, forKey: .districtID)
        try row.encode(caseID, forKey: .caseID)
        try row.encodeIfPresent(orderID, forKey: .orderID)
        try row.encodeIfPresent(reportID, forKey: .reportID)
        try row.encode(kind, forKey: .kind)
        try row.encode(what, forKey: .what)
        try row.encode(reason.code, forKey: .reasonCode)
        try row.encode(reason.zh, forKey: .reasonZH)
        try row.encode(reason.en, forKey: .reasonEN)
        try row.encode(inputs, forKey: .inputs)
        try row.encode(ruleVersion, forKey: .ruleVersion)
        try row.encode(actor, forKey: .actor)
        try row.encode(decidedAt, forKey: .decidedAt)
    }
}

enum DecisionStore {
    private static let columns: SQL = """
        decision_id, district_id, case_id, order_id, report_id, kind, what, reason_code, reason_zh, reason_en, inputs,
        rule_version, actor, decided_at
        """

    static func insert(_ records: [DecisionRecord]) throws -> [SQL] {
        guard !records.isEmpty else { return [] }
        return [
            """
            INSERT INTO dispatch.decision (\(columns))
            SELECT \(columns)
            FROM json_populate_recordset(NULL::dispatch.decision, \(try RecordText.text(of: records))::json)
            """
        ]
    }
}

extension Identifier {
    /// As an input of a decision.
    var json: JSONValue { .string(description) }
}
