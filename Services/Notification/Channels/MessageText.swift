import FoundationEssentials
import Model
import Postgres

/// The wording of notices, Chinese and English side by side: a text is added in both or not at all.
struct MessageText: Sendable {
    /// What is known of the case besides its snapshot.
    struct Facts: Sendable {
        var categoryZH: String?
        var categoryEN: String?
        var placeZH: String?
        var placeEN: String?
        var number: String?
        var reports = 1

        init() {}

        init(_ row: Row) throws {
            categoryZH = try row.decode("category_zh", as: String?.self)
            categoryEN = try row.decode("category_en", as: String?.self)
            let street = (try row.decode("street_zh", as: String?.self), try row.decode("street_en", as: String?.self))
            let community = (
                try row.decode("community_zh", as: String?.self), try row.decode("community_en", as: String?.self)
            )
            placeZH = [street.0, community.0].compactMap(\.self).joined(separator: " ")
            placeEN = [community.1, street.1].compactMap(\.self).joined(separator: ", ")
            number = try row.decode("number", as: String?.self)
            reports = try row.decode("report_count", as: Int?.self) ?? 1
        }
    }

    var language: String
    var purpose: NoticePurpose
    var reason: String
    var snapshot: CaseSnapshot
    var facts: Facts
    var link: String?

    private var isChinese: Bool { language != "en" }

    private func pick(_ zh: String, _ en: String) -> String { isChinese ? zh : en }

    private var what: String {
        (isChinese ? facts.categoryZH : facts.categoryEN) ?? snapshot.category
    }

    private var place: String {
        let named = (isChinese ? facts.placeZH : facts.placeEN) ?? ""
        return named.isEmpty ? coordinates : named
    }

    private var coordinates: String { "\(Self.degrees(snapshot.place.lon)), \(Self.degrees(snapshot.place.lat))" }

    private static func degrees(_ value: Double) -> String {
        // Five decimals: about a metre.
        let scaled = Int((abs(value) * 100_000).rounded())
        let rest = String(scaled % 100_000)
        return (value < 0 ? "-" : "") + "\(scaled / 100_000)." + String(repeating: "0", count: 5 - rest.count) + rest
    }

    var subject: String {
        switch purpose {
        case .emergency: pick("【紧急】\(what) · \(place)", "[EMERGENCY] \(what) · \(place)")
        case .escalation: pick("【升级】无人确认：\(what) · \(place)", "[ESCALATED] Not acknowledged: \(what) · \(place)")
        case .stoodDown: pick("【解除】\(what) · \(place)", "[STOOD DOWN] \(what) · \(place)")
        case .routine: pick("\(what) · \(place)", "\(what) · \(place)")
        }
    }

    var text: String {
        var lines = [subject, ""]
        lines.append(pick("地点：\(place)（\(coordinates)）", "Place: \(place) (\(coordinates))"))
        lines.append(
            pick(
                "事项：\(what)，严重程度 \(snapshot.severity.rawValue)/5",
                "What: \(what), severity \(snapshot.severity.rawValue)/5"))
        lines.append(
            pick(
                "首次上报：\(snapshot.openedAt)，共 \(facts.reports) 条上报",
                "First reported: \(snapshot.openedAt), \(facts.reports) report(s)"))
        if let number = facts.number { lines.append(pick("案件编号：\(number)", "Case: \(number)")) }
        lines.append(pick("原因：\(Self.reasonZH(reason))", "Why you are told: \(Self.reasonEN(reason))"))
        if let link {
            lines += [
                "",
                pick("请打开链接查看并确认（链接仅限您本人使用）：", "Open this link to look and acknowledge (it is for you only):"), link,
            ]
        }
        return lines.joined(separator: "\n")
    }

    /// What a webhook carries: ids and facts, the link, no resident's words.
    func payload(_ notice: NoticeRecord) throws -> [UInt8] {
        let body: [String: JSONValue] = [
            "notice_id": .string(notice.id.description), "case_id": .string(notice.caseID.description),
            "case_number": facts.number.map(JSONValue.string) ?? .null,
            "district_id": .string(notice.district.description),
            "street_id": notice.street.map { .string($0.description) } ?? .null, "round": .integer(Int64(notice.round)),
            "reason": .string(reason), "category": .string(snapshot.category),
            "severity": .integer(Int64(snapshot.severity.rawValue)), "lon": .number(snapshot.place.lon),
            "lat": .number(snapshot.place.lat), "opened_at": .string(snapshot.openedAt.description),
            "title": .string(subject), "text": .string(text), "link": link.map(JSONValue.string) ?? .null,
        ]
        let encoder = JSONEncoder()
        // The signature covers the bytes: the same message is the same bytes on every repeat.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(
            try encoder.encode(
                JSONValue.object([
                    "type": .string("notice.\(purpose.rawValue)"), "timestamp": .string(notice.createdAt.description),
                    "data": .object(body),
                ])))
    }

    private static func reasonZH(_ reason: String) -> String {
        switch reason {
        case "opened_as_emergency": "新的紧急案件"
        case "raised": "案件已升为紧急"
        case "moved": "案件转至贵街道"
        case "reopened": "案件重新打开"
        case "not_acknowledged": "第一联系人未在规定时间内确认"
        case "closed": "案件已结案"
        case "merged": "案件已合并"
        case "rejected": "案件已作废"
        case "lowered": "案件不再紧急"
        default: reason
        }
    }

    private static func reasonEN(_ reason: String) -> String {
        switch reason {
        case "opened_as_emergency": "a new emergency"
        case "raised": "the case was raised to an emergency"
        case "moved": "the case moved to your street"
        case "reopened": "the case was reopened"
        case "not_acknowledged": "the first contact did not acknowledge in time"
        case "closed": "the case is closed"
        case "merged": "the case was merged into another"
        case "rejected": "the case was rejected"
        case "lowered": "the case is no longer an emergency"
        default: reason
        }
    }
}
