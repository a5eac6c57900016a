import FoundationEssentials
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `GET /v1/communities`, `GET /v1/grids`: the areas of responsibility, with their boundary and who answers for them.
struct AreaRoutes: Sendable {
    let database: PostgresClient

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        document.define(
            "Area",
            .object([
                .init("id", .uuid), .init("code", .string()), .init("name_zh", .string()), .init("name_en", .string()),
                .init("parent_id", .nullable(.uuid)), .init("district_id", .uuid),
                .init("type", .nullable(.word(CommunityType.self))), .init("tags", .array(of: .string())),
                .init("version", .integer(minimum: 1)), .init("facility_count", .integer(minimum: 0)),
                .init(
                    "responsible",
                    .nullable(.object([.init("id", .uuid), .init("name", .string()), .init("since", .time)])),
                    "Null where nobody answers for the area: a defect to mend."),
                .init("geometry", .object([], open: true), "GeoJSON MultiPolygon, CRS84."),
            ]))
        let parent = Operation.Parameter.query("parent_id", .uuid, "Only areas inside this one.")
        add(.grid, "/v1/grids", "Grids", [parent], router, &document)
        add(
            .community, "/v1/communities", "Communities",
            [parent, .query("type", .word(CommunityType.self))], router, &document)
    }

    private func add(
        _ level: PlaceLevel, _ path: String, _ name: String, _ parameters: [Operation.Parameter],
        _ router: Router<APIContext>, _ document: inout OpenAPIDocument
    ) {
        router.add(
            &document,
            Operation(
                .get, path, "\(name) with boundary and responsible person", access: .signedIn, parameters: parameters,
                answers: [.ok(.page(of: .reference("Area")))], paged: true)
        ) { request, context in
            try await list(level, request, context)
        }
    }

    private func list(_ level: PlaceLevel, _ request: Request, _ context: APIContext) async throws -> Response {
        _ = try context.requireAccount()
        let query = try request.query()
        let page = try request.page(level.rawValue, .id)
        let rows = try await database.query(
            AreaStore.list(
                level: level, districts: context.scope.districtIDs,
                parent: try query.id("parent_id", Area.self)?.rawValue,
                type: level == .community ? try query.word("type") : nil, after: page.cursor?.id(0), limit: page.limit),
            scope: context.scope)
        let items = try rows.map(AreaItem.init)
        return try .json(
            .ok, Page(items, limit: page.limit) { Cursor(level.rawValue, .id($0.id)) })
    }
}

struct AreaItem: Encodable, Sendable {
    struct Person: Encodable, Sendable {
        var id: Account.ID
        var name: String
        var since: Timestamp
    }

    var id: Identifier<Area>
    var code: String
    var nameZH: String
    var nameEN: String
    var parentID: Identifier<Area>?
    var districtID: District.ID
    var type: CommunityType?
    var tags: [String]
    var version: Int
    var facilityCount: Int
    var responsible: Person?
    var geometry: JSONValue

    enum CodingKeys: String, CodingKey {
        case id, code, type, tags, version, responsible, geometry
        case nameZH = "name_zh"
        case nameEN = "name_en"
        case parentID = "parent_id"
        case districtID = "district_id"
        case facilityCount = "facility_count"
    }

    init(_ row: Row) throws {
        id = try row.decode("area_id")
        code = try row.decode("code")
        nameZH = try row.decode("name_zh")
        nameEN = try row.decode("name_en")
        parentID = try row.decode("parent_id", as: Identifier<Area>?.self)
        districtID = try row.decode("district_id")
        type = try row.decode("community_type", as: CommunityType?.self)
        tags = try row.decode("tags")
        version = try row.decode("version")
        facilityCount = try row.decode("facility_count")
        responsible = try row.decode("person_id", as: Account.ID?.self).map {
            Person(id: $0, name: try row.decode("person_name"), since: try row.decode("since"))
        }
        geometry = try JSONB(row.decode("geometry", as: String.self)).decode()
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(code, forKey: .code)
        try container.encode(nameZH, forKey: .nameZH)
        try container.encode(nameEN, forKey: .nameEN)
        try container.encode(parentID, forKey: .parentID)
        try container.encode(districtID, forKey: .districtID)
        try container.encode(type, forKey: .type)
        try container.encode(tags, forKey: .tags)
        try container.encode(version, forKey: .version)
        try container.encode(facilityCount, forKey: .facilityCount)
        try container.encode(responsible, forKey: .responsible)
        try container.encode(geometry, forKey: .geometry)
    }
}
