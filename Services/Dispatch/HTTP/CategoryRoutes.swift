import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// `/v1/categories`: what can be reported. City-wide data, read by anyone, changed by an administrator.
struct CategoryRoutes: Sendable {
    let desk: Desk

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, Self.list) { _, _ in
            let rows = try await desk.database.query(CategoryStore.shown(nil), scope: .none)
            let page = Page(items: try rows.map { Presented(try CategoryView($0)) }, next: nil)
            var response = try Response.json(.ok, page)
            response.headers[.cacheControl] = "public, max-age=5"
            return response
        }
        router.add(&document, Self.put) { request, context in try await put(request, context) }
    }

    static let list = Operation(
        .get, "/v1/categories", "What can be reported, with its clocks and skills", access: .anyone,
        answers: [.ok(.page(of: .reference("Category")))])

    static let put = Operation(
        .put, "/v1/categories/{code}", "Make or change a category", access: .roles([.admin]),
        description: "If-Match is the version that is changed, \"0\" for a new one. Each change is a new version.",
        parameters: [.path("code", .string(pattern: "^[a-z][a-z0-9_]{0,47}$"))],
        body: .json(.object(CategoryInput.fields)),
        answers: [.ok(.reference("Category"), versioned: true)], conditional: true)

    static func define(in document: inout OpenAPIDocument) {
        document.define("Category", CategoryView.schema)
    }

    private func put(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let code = try context.pathText("code", limit: 64)
        guard !CategoryStore.hidden.contains(code) else { throw Problem.notFound("The category", zh: "类别") }
        let input = try await request.json(CategoryInput.self, limit: 64 << 10)
        var check = Validation()
        check.word("code", code)
        input.check(&check)
        try check.finish()
        let basedOn = try request.ifMatch()
        let category = try await desk.transacting.decide(scope: context.scope) { transaction in
            let current =
                try await transaction.query(CategoryStore.lock(code)).first?
                .decode("version", as: Int.self) ?? 0
            guard current == basedOn else { throw Problem.preconditionFailed(current: current) }
            let rows = try await transaction.commit([
                CategoryStore.save(code, input, version: current + 1, by: context.principal.actor),
                CategoryStore.shown(code),
            ])
            guard let category = try rows[1].first.map({ try CategoryView($0) }) else {
                throw Problem.notFound("The category", zh: "类别")
            }
            return (category, [])
        }
        try? await desk.categories.refresh()
        return try .json(headers: .version(category.version), Presented(category))
    }
}

/// What an administrator says of a category.
struct CategoryInput: Decodable, Sendable {
    var active: Bool
    var kind: ReportKind
    var categoryGroup: String
    var nameZH: String
    var nameEN: String
    var severity: Int
    var emergencyWords: [String]
    var emergencyPlaces: [String]
    var alwaysEmergency: Bool
    var mergeRadius: Int
    var mergeWindow: Int
    var skills: [String]
    var respond: Int
    var arrive: Int
    var resolve: Int
    var stormRespond: Int
    var stormArrive: Int
    var stormResolve: Int
    var stormFrom: StormLevel?
    var position: Int?

    enum CodingKeys: String, CodingKey {
        case active, kind, severity, skills, position
        case categoryGroup = "category_group"
        case nameZH = "name_zh"
        case nameEN = "name_en"
        case emergencyWords = "emergency_words"
        case emergencyPlaces = "emergency_places"
        case alwaysEmergency = "always_emergency"
        case mergeRadius = "merge_radius_m"
        case mergeWindow = "merge_window_min"
        case respond = "respond_min"
        case arrive = "arrive_min"
        case resolve = "resolve_min"
        case stormRespond = "storm_respond_min"
        case stormArrive = "storm_arrive_min"
        case stormResolve = "storm_resolve_min"
        case stormFrom = "storm_from"
    }

    private static let minutes = 1...525_600
    private static let storms = ["blue", "yellow", "orange", "red"]

    static let fields: [Schema.Field] = {
        let word = Schema.string(pattern: "^[a-z][a-z0-9_]{0,47}$")
        let texts = Schema.array(of: .text(1...80), maxItems: 200)
        let minute = Schema.integer(minutes)
        return [
            .init("active", .boolean), .init("kind", .word(ReportKind.self)), .init("category_group", word),
            .init("name_zh", .text(1...80)), .init("name_en", .text(1...80)), .init("severity", .integer(1...5)),
            .init("emergency_words", texts), .init("emergency_places", .array(of: word, maxItems: 40)),
            .init("always_emergency", .boolean), .init("merge_radius_m", .integer(1...500)),
            .init("merge_window_min", .integer(1...43_200)), .init("skills", .array(of: word, maxItems: 20)),
            .init("respond_min", minute), .init("arrive_min", minute), .init("resolve_min", minute),
            .init("storm_respond_min", minute), .init("storm_arrive_min", minute), .init("storm_resolve_min", minute),
            .init("storm_from", .nullable(.words(storms)), required: false),
            .init("position", .nullable(.integer(0...100_000)), required: false),
        ]
    }()

    func check(_ check: inout Validation) {
        check.word("category_group", categoryGroup)
        check.text("name_zh", nameZH, 1...80)
        check.text("name_en", nameEN, 1...80)
        check.range("severity", severity, 1...5)
        check.count("emergency_words", emergencyWords, 0...200)
        for (index, word) in emergencyWords.prefix(200).enumerated() {
            check.text("emergency_words[\(index)]", word, 1...80)
        }
        check.count("emergency_places", emergencyPlaces, 0...40)
        for (index, place) in emergencyPlaces.prefix(40).enumerated() {
            check.word("emergency_places[\(index)]", place)
        }
        check.range("merge_radius_m", mergeRadius, 1...500)
        check.range("merge_window_min", mergeWindow, 1...43_200)
        check.count("skills", skills, 0...20)
        for (index, skill) in skills.prefix(20).enumerated() { check.word("skills[\(index)]", skill) }
        let clocks = [
            ("respond_min", respond), ("arrive_min", arrive), ("resolve_min", resolve),
            ("storm_respond_min", stormRespond), ("storm_arrive_min", stormArrive), ("storm_resolve_min", stormResolve),
        ]
        for (field, value) in clocks { check.range(field, value, Self.minutes) }
        check.require(
            stormFrom != StormLevel.none, "storm_from", code: "not_allowed",
            "One of these is wanted: \(Self.storms.joined(separator: ", ")).",
            zh: "应为以下之一：\(Self.storms.joined(separator: "、"))。", allowed: Self.storms)
        check.range("position", position ?? 0, 0...100_000)
    }
}

struct CategoryView: Presentable {
    var code: String
    var version: Int
    var input: CategoryInput

    init(_ row: Row) throws {
        code = try row.decode("code")
        version = try row.decode("version")
        input = CategoryInput(
            active: try row.decode("active"), kind: try row.decode("kind"),
            categoryGroup: try row.decode("category_group"), nameZH: try row.decode("name_zh"),
            nameEN: try row.decode("name_en"), severity: try row.decode("severity"),
            emergencyWords: try row.decode("emergency_words"), emergencyPlaces: try row.decode("emergency_places"),
            alwaysEmergency: try row.decode("always_emergency"), mergeRadius: try row.decode("merge_radius_m"),
            mergeWindow: try row.decode("merge_window_min"), skills: try row.decode("skills"),
            respond: try row.decode("respond_min"), arrive: try row.decode("arrive_min"),
            resolve: try row.decode("resolve_min"), stormRespond: try row.decode("storm_respond_min"),
            stormArrive: try row.decode("storm_arrive_min"), stormResolve: try row.decode("storm_resolve_min"),
            stormFrom: try row.decode("storm_from"), position: try row.decode("position"))
    }

    static let shown: [ShownField<CategoryView>] = [
        .init("code", .string()) { $0.code },
        .init("version", .integer(minimum: 1)) { $0.version },
        .init("active", .boolean) { $0.input.active },
        .init("kind", .word(ReportKind.self)) { $0.input.kind },
        .init("category_group", .string()) { $0.input.categoryGroup },
        .init("name_zh", .string()) { $0.input.nameZH },
        .init("name_en", .string()) { $0.input.nameEN },
        .init("severity", .integer(1...5)) { $0.input.severity },
        .init("emergency_words", .array(of: .string())) { $0.input.emergencyWords },
        .init("emergency_places", .array(of: .string())) { $0.input.emergencyPlaces },
        .init("always_emergency", .boolean) { $0.input.alwaysEmergency },
        .init("merge_radius_m", .integer()) { $0.input.mergeRadius },
        .init("merge_window_min", .integer()) { $0.input.mergeWindow },
        .init("skills", .array(of: .string())) { $0.input.skills },
        .init("respond_min", .integer()) { $0.input.respond },
        .init("arrive_min", .integer()) { $0.input.arrive },
        .init("resolve_min", .integer()) { $0.input.resolve },
        .init("storm_respond_min", .integer()) { $0.input.stormRespond },
        .init("storm_arrive_min", .integer()) { $0.input.stormArrive },
        .init("storm_resolve_min", .integer()) { $0.input.stormResolve },
        .init("storm_from", .string()) { $0.input.stormFrom },
        .init("position", .integer()) { $0.input.position },
    ]
}
