import FoundationEssentials
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
public import ServiceKit

/// `POST /v1/imports`, `GET /v1/imports/{id}`: facilities from GeoJSON.
struct ImportRoutes: Sendable {
    /// Of one request; a larger file goes in by `sluicectl import`.
    static let bodyLimit = 16 << 20

    let database: PostgresClient
    let background: PostgresClient
    let importer: FeatureImporter
    let sources: Sources

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        document.define(
            "Import",
            .object([
                .init("id", .uuid), .init("district_id", .uuid), .init("source", .string()),
                .init(
                    "kind",
                    .words(
                        FacilityKind.allCases.map(\.rawValue) + PlaceLevel.allCases.map(\.rawValue)
                            + ["responsibility"]), "What was in the file."),
                .init("system", .nullable(.word(PipeSystem.self))),
                .init("state", .words(["staging", "running", "done", "failed"])), .init("started_at", .time),
                .init("ended_at", .nullable(.time)), .init("rows_staged", .integer(minimum: 0)),
                .init("rows_read", .integer(minimum: 0)), .init("rows_added", .integer(minimum: 0)),
                .init("rows_changed", .integer(minimum: 0)), .init("rows_same", .integer(minimum: 0)),
                .init("rows_refused", .integer(minimum: 0)), .init("error", .nullable(.string())),
                .init(
                    "issues",
                    .array(
                        of: .object([
                            .init("row", .integer(minimum: 1)), .init("source_id", .nullable(.string())),
                            .init("severity", .words(["refused", "repaired"])), .init("field", .string()),
                            .init("code", .string()), .init("detail", .string()),
                        ])), "The first 200 rows that were refused or repaired."),
            ]))
        document.define("ImportStarted", .object([.init("id", .uuid), .init("rows_staged", .integer(minimum: 1))]))
        let property = Schema.text(1...64)
        router.add(
            &document,
            Operation(
                .post, "/v1/imports", "Import facilities from a GeoJSON FeatureCollection", access: .roles(.admin),
                description: """
                    The query says which property of the features holds what. Rows that are wrong are refused one by \
                    one with their reason; the rest goes in. The same file again changes nothing. Up to 16 MiB; larger \
                    files by `sluicectl import`.
                    """,
                parameters: [
                    .query("district_id", .uuid, required: true, "Features outside this district are refused."),
                    .query("source", .text(1...64), required: true, "Names the source; ids are unique in it."),
                    .query("kind", .word(FacilityKind.self), required: true),
                    .query("system", .word(PipeSystem.self)),
                    .query("id", property, required: true, "The property that identifies a feature."),
                    .query("diameter_mm", property), .query("length_m", property), .query("up_node", property),
                    .query("down_node", property), .query("up_invert_m", property),
                    .query("down_invert_m", property), .query("material", property),
                ], body: .of(("application/geo+json", .object([], open: true))),
                answers: [.init(.accepted, "The import has been taken and runs.", .json(.reference("ImportStarted")))],
                idempotent: true)
        ) { request, context in
            try await begin(request, context)
        }
        router.add(
            &document,
            Operation(
                .get, "/v1/imports/{id}", "How an import went", access: .roles(.admin),
                answers: [.ok(.reference("Import"))])
        ) { request, context in
            try await show(context)
        }
    }

    // MARK: Beginning

    private func begin(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.admin)
        let query = try request.query()
        let (district, profile) = try Self.read(query)
        try context.requireDistrict(district, field: "district_id")
        try request.requireContentType(["application/geo+json", "application/json"]) {
            $0 == "application/geo+json" || $0 == "application/json"
        }
        let body = try await request.bytes(limit: Self.bodyLimit)
        let key = try Idempotency.read(request, context, body: Array((request.uri.query ?? "").utf8) + body)
        if let replay = try await Idempotency.replay(for: key, using: database) { return replay }

        let id = sources.randomUUID(sources.now())
        let rows: Int
        do {
            rows = try await importer.stage(
                id, district: district, profile: profile, startedBy: "account:\(claims.sub)", pieces: [body])
        } catch let failure as FeatureImporter.Failure {
            throw failure.problem
        }
        let answer = try StoredResponse(
            .accepted,
            json: ["id": JSONValue.string(Identifier<Area>(id).description), "rows_staged": .integer(Int64(rows))])
        // Of two equal requests one starts its run; the other's staged rows are dropped by the worker.
        return try await Idempotency.once(key, using: database) {
            _ = try await database.segment(
                [try key.claim(answer), ImportStore.start(id, rows: rows)], scope: context.scope)
            return answer.response
        }
    }

    /// Reads the profile from the query; every fault at once.
    static func read(_ query: Query) throws(Problem) -> (District.ID, ImportProfile) {
        let district = try query.id("district_id", District.self)
        let source = try query.text("source", 1...64)
        let kind = try query.word("kind", FacilityKind.self)
        let id = try query.text("id", 1...64)
        var check = Validation()
        for (field, isThere) in [
            ("district_id", district != nil), ("source", source != nil), ("kind", kind != nil), ("id", id != nil),
        ] {
            check.require(isThere, field, code: "missing", "This parameter is required.", zh: "缺少该参数。")
        }
        try check.finish()
        guard let district, let source, let kind, let id else { throw .notFound }
        return (
            district,
            ImportProfile(
                source: source, kind: kind, system: try query.word("system"), id: id,
                diameterMillimetres: try query.text("diameter_mm", 1...64),
                lengthMetres: try query.text("length_m", 1...64), upNode: try query.text("up_node", 1...64),
                downNode: try query.text("down_node", 1...64), upInvertMetres: try query.text("up_invert_m", 1...64),
                downInvertMetres: try query.text("down_invert_m", 1...64), material: try query.text("material", 1...64))
        )
    }

    // MARK: Showing

    private func show(_ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let id = try context.pathID("id", Area.self)
        let answers = try await database.segment(
            [
                ImportStore.show(id.rawValue, districts: context.scope.districtIDs),
                ImportStore.issues(id.rawValue, limit: 200),
            ],
            scope: context.scope)
        guard let row = answers[0].first else { throw Problem.notFound }
        return try .json(.ok, try ImportItem(row, issues: answers[1]))
    }
}

extension FeatureImporter.Failure {
    /// For who sent the document, whichever way it came.
    public var problem: Problem {
        switch self {
        case .unreadable(.foreignCRS):
            .invalid(
                "crs", code: "not_crs84",
                "Coordinates in longitude and latitude (CRS84) are wanted; convert the file first, for instance by ogr2ogr -t_srs OGC:CRS84.",
                zh: "坐标须为经纬度（CRS84）；请先转换，例如用 ogr2ogr -t_srs OGC:CRS84。")
        case .unreadable(.notAFeatureCollection), .empty:
            .invalid(
                "body", code: "not_a_feature_collection",
                "A GeoJSON FeatureCollection with at least one feature is wanted.",
                zh: "应为至少包含一个要素的 GeoJSON FeatureCollection。")
        case .unreadable(.endsEarly):
            .malformed("The document ends inside a feature.", zh: "文档不完整，在要素中间结束。")
        case .unreadable(.featureTooLarge(limit: let limit)):
            .invalid(
                "features", code: "too_large", "A feature has more than \(limit) bytes.", zh: "单个要素超过 \(limit) 字节。")
        case .unreadable(.tooDeep(limit: let limit)):
            .invalid("features", code: "too_deep", "Nesting beyond \(limit) levels.", zh: "嵌套超过 \(limit) 层。")
        case .tooMany(let limit):
            .invalid("features", code: "too_many", "More than \(limit) features.", zh: "要素超过 \(limit) 个。")
        case .unfitSource:
            .invalid(
                "source", code: "length", "A source has a name of 1 to 64 characters.", zh: "来源名称应为 1 到 64 个字符。")
        case .noDistrict:
            .invalid("district_id", code: "no_district", "There is no such district.", zh: "没有该区。")
        case .unknownRun: .notFound
        case .failed(let reason):
            .conflict(code: "import_failed", "The import failed: \(reason).", zh: "导入失败：\(reason)。")
        }
    }
}

struct ImportItem: Encodable, Sendable {
    private let fields: [(String, JSONValue)]
    private let issues: [ImportIssue]

    init(_ row: Row, issues: Rows) throws {
        func text(_ name: String) throws -> JSONValue {
            try row.decode(name, as: String?.self).map(JSONValue.string) ?? .null
        }
        func time(_ name: String) throws -> JSONValue {
            try row.decode(name, as: Timestamp?.self).map { .string($0.description) } ?? .null
        }
        func count(_ name: String) throws -> JSONValue { .integer(Int64(try row.decode(name, as: Int.self))) }
        fields = [
            ("id", .string(try row.decode("import_id", as: Identifier<Area>.self).description)),
            ("district_id", .string(try row.decode("district_id", as: District.ID.self).description)),
            ("source", try text("source")), ("kind", try text("kind")), ("system", try text("system")),
            ("state", try text("state")), ("started_at", try time("started_at")), ("ended_at", try time("ended_at")),
            ("rows_staged", try count("rows_staged")), ("rows_read", try count("rows_read")),
            ("rows_added", try count("rows_added")), ("rows_changed", try count("rows_changed")),
            ("rows_same", try count("rows_same")), ("rows_refused", try count("rows_refused")),
            ("error", try text("error")),
        ]
        self.issues = try issues.map(ImportIssue.init)
    }

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for (name, value) in fields { try container.encode(value, forKey: Key(stringValue: name)) }
        try container.encode(issues, forKey: Key(stringValue: "issues"))
    }
}
