import FoundationEssentials
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// `GET /v1/indicators/7` and what it rests on.
struct IndicatorRoutes: Sendable {
    static let levels: [String] = ["city", "district", "street", "community"]

    let database: PostgresClient
    /// Of the city's calendar, `Asia/Shanghai`.
    let timeZone: String
    let now: @Sendable () -> Timestamp

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        let counts: [Schema.Field] = [
            .init("in_time", .integer(minimum: 0), "Answered and handled in time: the numerator."),
            .init("cases", .integer(minimum: 0), "In time or late: the denominator."),
            .init("late", .integer(minimum: 0)),
            .init("pending", .integer(minimum: 0), "Open, no clock has run out: on neither side yet."),
            .init("excluded", .integer(minimum: 0), "Merged, rejected, or without a clock: on neither side."),
            .init("value", .nullable(.number(0...1)), "in_time / cases; null is no data."),
            .init("points", .nullable(.number(0...1)), "By the bands of the standard version."),
        ]
        document.define(
            "Indicator7",
            .object(
                [
                    .init("level", .words(Self.levels)), .init("id", .nullable(.uuid)),
                    .init("month", .string(pattern: "^[0-9]{4}-[0-9]{2}$")), .init("time_zone", .string()),
                    .init("standard_version", .nullable(.string())), .init("rule_version", .integer(minimum: 1)),
                ] + counts + [.init("cases_url", .string(), "The cases on which the figure rests.")]))
        document.define(
            "Indicator7Breakdown",
            .object([
                .init("level", .words(Self.levels)), .init("month", .string()),
                .init("standard_version", .nullable(.string())),
                .init(
                    "items",
                    .array(
                        of: .object(
                            [
                                .init("id", .nullable(.uuid)), .init("code", .nullable(.string())),
                                .init("name_zh", .nullable(.string())), .init("name_en", .nullable(.string())),
                            ] + counts))),
            ]))
        document.define(
            "Indicator7Case",
            .object([
                .init("case_id", .uuid), .init("district_id", .uuid), .init("street_id", .nullable(.uuid)),
                .init("community_id", .nullable(.uuid)), .init("kind", .word(ReportKind.self)),
                .init("category", .string()), .init("emergency", .boolean), .init("state", .word(CaseState.self)),
                .init("opened_at", .time), .init("respond_due", .nullable(.time)),
                .init("responded_at", .nullable(.time)), .init("resolve_due", .nullable(.time)),
                .init("resolved_at", .nullable(.time)), .init("closed_at", .nullable(.time)),
                .init("verdict", .words(["in_time", "late", "pending", "excluded"])),
                .init("verdict_code", .string(), "in_time; which clock (respond, resolve); or why excluded."),
                .init("late_at", .nullable(.time)), .init("rule_version", .integer(minimum: 1)),
                .init("event_id", .uuid, "The fact in the ledger."),
            ]))
        let selection: [Operation.Parameter] = [
            .query("level", .words(Self.levels), "city if not given."),
            .query("id", .uuid, "The area; required unless the level is city."),
            .query("month", .string(pattern: "^[0-9]{4}-[0-9]{2}$"), "YYYY-MM; the present month if not given."),
        ]
        router.add(
            &document,
            Operation(
                .get, "/v1/indicators/7", "Timely handling (处置及时率) of an area and month",
                access: .roles(.manager, .admin),
                description: "Cases answered and handled in time / all cases, by the month in which they were opened.",
                parameters: selection, answers: [.ok(.reference("Indicator7"))])
        ) { request, context in
            try await figure(request, context)
        }
        router.add(
            &document,
            Operation(
                .get, "/v1/indicators/7/breakdown", "Timely handling of the areas inside an area",
                access: .roles(.manager, .admin), parameters: selection,
                answers: [.ok(.reference("Indicator7Breakdown"))])
        ) { request, context in
            try await breakdown(request, context)
        }
        router.add(
            &document,
            Operation(
                .get, "/v1/indicators/7/cases", "The cases on which the figure rests, newest first",
                access: .roles(.manager, .admin),
                parameters: selection + [.query("verdict", .words(["in_time", "late", "pending", "excluded"]))],
                answers: [.ok(.page(of: .reference("Indicator7Case")))], paged: true)
        ) { request, context in
            try await cases(request, context)
        }
    }

    // MARK: Reading the question

    /// What is asked: the area, the month, and the standard that holds then.
    private struct Question {
        var level: String
        var selection: IndicatorStore.Selection
        var standard: Standard?
    }

    private struct Standard {
        var name: String
        var bands: Bands
    }

    private struct StandardBody: Decodable {
        var bands: [Bands.Band]
        var kinds: [String]?
    }

    private func read(_ request: Request, _ context: APIContext) async throws -> Question {
        try context.require(.manager, .admin)
        let query = try request.query()
        let level = try query.text("level") ?? "city"
        let id = try query.id("id", PlaceSnapshot.self)?.rawValue
        let month = if let asked = try query.text("month") { asked } else { try await presentMonth() }
        var check = Validation()
        check.require(
            Self.levels.contains(level), "level", code: "not_allowed",
            "One of these is wanted: \(Self.levels.joined(separator: ", ")).",
            zh: "应为以下之一：\(Self.levels.joined(separator: "、"))。", allowed: Self.levels)
        check.require(
            level == "city" || id != nil, "id", code: "missing", "The id of the \(level) is required.", zh: "缺少区域编号。")
        check.require(
            CityCalendar.isMonth(month), "month", code: "month", "A month such as 2026-07 is wanted.",
            zh: "应为月份，例如 2026-07。")
        try check.finish()
        if level == "city", context.scope.districtIDs != nil {
            throw Problem.forbidden(
                "The city's figure is for accounts of the whole city; ask for a district.", zh: "全市指标仅限全市账号查询，请按区查询。")
        }
        if level == "district", let id { try context.requireDistrict(District.ID(id), field: "id") }
        let row = try await database.query(IndicatorStore.standard(month: month), scope: .none).first
        let standard = try row.map { row in
            (
                try row.decode("name", as: String.self),
                try row.decode("indicator_7", as: JSONB.self).decode(StandardBody.self)
            )
        }
        return Question(
            level: level,
            selection: IndicatorStore.Selection(
                level: PlaceLevel(rawValue: level), id: id, month: month, timeZone: timeZone,
                districts: context.scope.districtIDs, kinds: standard?.1.kinds),
            standard: standard.map { Standard(name: $0.0, bands: Bands(bands: $0.1.bands)) })
    }

    /// The month of the city's calendar at this moment.
    private func presentMonth() async throws -> String {
        try await database.query(CalendarStore.month(of: now(), timeZone: timeZone), scope: .none)[0].decode("month")
    }

    // MARK: Answers

    private func figure(_ request: Request, _ context: APIContext) async throws -> Response {
        let question = try await read(request, context)
        let selection = question.selection
        let row = try await database.query(IndicatorStore.figure(selection), scope: context.scope)[0]
        let link =
            "/v1/indicators/7/cases?level=\(question.level)&month=\(selection.month)"
            + (selection.id.map { "&id=\(Identifier<PlaceSnapshot>($0))" } ?? "")
        return try .json(
            .ok,
            JSONValue.object(
                [
                    "level": .string(question.level), "id": JSONValue(selection.id), "month": .string(selection.month),
                    "time_zone": .string(timeZone), "standard_version": JSONValue(question.standard?.name),
                    "rule_version": .integer(Int64(TimelyHandling.version)), "cases_url": .string(link),
                ].merging(try Self.counts(row, question.standard?.bands)) { first, _ in first }))
    }

    private func breakdown(_ request: Request, _ context: APIContext) async throws -> Response {
        let question = try await read(request, context)
        let children: PlaceLevel
        switch question.selection.level {
        case nil: children = .district
        case .district: children = .street
        case .street: children = .community
        default:
            throw Problem.invalid(
                "level", code: "not_allowed", "A community has no areas inside.", zh: "小区没有下级区域。",
                allowed: ["city", "district", "street"])
        }
        let rows = try await database.query(
            IndicatorStore.breakdown(question.selection, into: children), scope: context.scope)
        let items = try rows.map { row -> JSONValue in
            let named: [String: JSONValue] = [
                "id": JSONValue(try row.decode("area_id", as: UUID?.self)),
                "code": JSONValue(try row.decode("code", as: String?.self)),
                "name_zh": JSONValue(try row.decode("name_zh", as: String?.self)),
                "name_en": JSONValue(try row.decode("name_en", as: String?.self)),
            ]
            return .object(named.merging(try Self.counts(row, question.standard?.bands)) { first, _ in first })
        }
        return try .json(
            .ok,
            JSONValue.object([
                "level": .string(children.rawValue), "month": .string(question.selection.month),
                "standard_version": JSONValue(question.standard?.name), "items": .array(items),
            ]))
    }

    private static func counts(_ row: Row, _ bands: Bands?) throws -> [String: JSONValue] {
        let inTime = try row.decode("in_time", as: Int.self)
        let late = try row.decode("late", as: Int.self)
        let cases = inTime + late
        return [
            "in_time": .integer(Int64(inTime)), "late": .integer(Int64(late)), "cases": .integer(Int64(cases)),
            "pending": .integer(Int64(try row.decode("pending", as: Int.self))),
            "excluded": .integer(Int64(try row.decode("excluded", as: Int.self))),
            "value": cases > 0 ? .number(Double(inTime) / Double(cases)) : .null,
            "points": bands?.points(inTime, of: cases).map(JSONValue.number) ?? .null,
        ]
    }

    private func cases(_ request: Request, _ context: APIContext) async throws -> Response {
        let question = try await read(request, context)
        let query = try request.query()
        let verdict = try query.text("verdict")
        let allowed = ["in_time", "late", "pending", "excluded"]
        if let verdict, !allowed.contains(verdict) {
            throw Problem.invalid(
                "verdict", code: "not_allowed", "One of these is wanted: \(allowed.joined(separator: ", ")).",
                zh: "应为以下之一：\(allowed.joined(separator: "、"))。", allowed: allowed)
        }
        let page = try request.page("indicator_7_cases", .time, .id)
        let rows = try await database.query(
            IndicatorStore.cases(
                question.selection, verdict: verdict, before: page.cursor.map { ($0.time(0), $0.id(1)) },
                limit: page.limit), scope: context.scope)
        return try .json(
            .ok,
            Page(try rows.map(CaseItem.init), limit: page.limit) {
                Cursor("indicator_7_cases", .time($0.openedAt), .id($0.caseID))
            })
    }
}

/// One case with its verdict.
struct CaseItem: Encodable, Sendable {
    let caseID: Case.ID
    let openedAt: Timestamp
    private let fields: [String: JSONValue]

    init(_ row: Row) throws {
        caseID = try row.decode("case_id")
        openedAt = try row.decode("opened_at")
        var fields: [String: JSONValue] = [
            "emergency": .bool(try row.decode("emergency")),
            "rule_version": .integer(Int64(try row.decode("rule_version", as: Int.self))),
        ]
        for name in ["case_id", "district_id", "street_id", "community_id", "event_id"] {
            fields[name] = JSONValue(try row.decode(name, as: UUID?.self))
        }
        for name in ["kind", "category", "state", "verdict", "verdict_code"] {
            fields[name] = .string(try row.decode(name))
        }
        for name in ["opened_at", "respond_due", "responded_at", "resolve_due", "resolved_at", "closed_at", "late_at"] {
            fields[name] = JSONValue(try row.decode(name, as: Timestamp?.self)?.description)
        }
        self.fields = fields
    }

    func encode(to encoder: any Encoder) throws {
        try fields.encode(to: encoder)
    }
}

extension JSONValue {
    /// Nil is null.
    init(_ text: String?) { self = text.map(JSONValue.string) ?? .null }

    init(_ id: UUID?) { self = id.map { .string(Identifier<PlaceSnapshot>($0).description) } ?? .null }
}
