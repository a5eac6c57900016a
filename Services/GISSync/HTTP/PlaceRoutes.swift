import FoundationEssentials
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `GET /v1/places`: what is here?
struct PlaceRoutes: Sendable {
    let database: PostgresClient

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        let named = Schema.object([
            .init("id", .uuid), .init("name_zh", .string()), .init("name_en", .string()),
        ])
        document.define(
            "PlaceAnswer",
            .object([
                .init("inside_city", .boolean, "False where no district covers the point."),
                .init("district", .nullable(named)), .init("street", .nullable(named)),
                .init("grid", .nullable(.object([.init("id", .uuid), .init("code", .string())]))),
                .init(
                    "community",
                    .nullable(
                        .object([
                            .init("id", .uuid), .init("name_zh", .string()), .init("name_en", .string()),
                            .init("type", .word(CommunityType.self)),
                        ]))), .init("tags", .array(of: .string())),
                .init(
                    "responsible",
                    .nullable(
                        .object([
                            .init("id", .uuid), .init("name", .string()),
                            .init("level", .word(PlaceLevel.self), "The level at which the person is named."),
                        ])), "Who answers for the place; null for people who are not signed in, and where nobody does."),
                .init(
                    "nearest_facility",
                    .nullable(
                        .object([
                            .init("id", .uuid), .init("kind", .word(FacilityKind.self)), .init("code", .string()),
                            .init("distance_m", .number(minimum: 0)),
                        ])), "The nearest facility within 50 m, points before pipes."),
            ]))
        router.add(
            &document,
            Operation(
                .get, "/v1/places", "What is here?", access: .anyone,
                description: "Community, grid, street, responsible person and nearest facility of a point (CRS84).",
                parameters: [
                    .query("lon", .number(-180...180), required: true),
                    .query("lat", .number(-90...90), required: true),
                ], answers: [.ok(.reference("PlaceAnswer"))])
        ) { request, context in
            try await whatIsHere(request, context)
        }
    }

    private func whatIsHere(_ request: Request, _ context: APIContext) async throws -> Response {
        let query = try request.query()
        let lon = try query.number("lon", -180...180)
        let lat = try query.number("lat", -90...90)
        var check = Validation()
        for (field, value) in [("lon", lon), ("lat", lat)] {
            check.require(
                value != nil, field, code: "missing", "This parameter is required.", zh: "缺少该参数。")
        }
        try check.finish()
        guard let lon, let lat else { throw Problem.notFound }
        // Map facts are readable city-wide.
        let rows = try await database.query(AreaStore.whatIsHere(Coordinate(lon: lon, lat: lat)), scope: .none)
        guard let row = rows.first else { throw Problem.notFound }
        return try .json(.ok, try PlaceAnswer(row, showsPeople: context.claims != nil))
    }
}

struct PlaceAnswer: Encodable, Sendable {
    struct Named: Encodable, Sendable {
        var id: String
        var nameZH: String
        var nameEN: String
        var type: String?

        enum CodingKeys: String, CodingKey {
            case id, type
            case nameZH = "name_zh"
            case nameEN = "name_en"
        }
    }

    struct Coded: Encodable, Sendable {
        var id: String
        var code: String
    }

    struct Person: Encodable, Sendable {
        var id: String
        var name: String
        var level: String
    }

    struct Facility: Encodable, Sendable {
        var id: String
        var kind: String
        var code: String
        var distance: Double

        enum CodingKeys: String, CodingKey {
            case id, kind, code
            case distance = "distance_m"
        }
    }

    var district: Named?
    var street: Named?
    var grid: Coded?
    var community: Named?
    var tags: [String]
    var responsible: Person?
    var nearestFacility: Facility?

    enum CodingKeys: String, CodingKey {
        case district, street, grid, community, tags, responsible
        case insideCity = "inside_city"
        case nearestFacility = "nearest_facility"
    }

    /// Every field is there, null where nothing is known.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(district != nil, forKey: .insideCity)
        try container.encode(district, forKey: .district)
        try container.encode(street, forKey: .street)
        try container.encode(grid, forKey: .grid)
        try container.encode(community, forKey: .community)
        try container.encode(tags, forKey: .tags)
        try container.encode(responsible, forKey: .responsible)
        try container.encode(nearestFacility, forKey: .nearestFacility)
    }
}

extension PlaceAnswer {
    init(_ row: Row, showsPeople: Bool) throws {
        func named(_ level: String, type: String? = nil) throws -> Named? {
            guard let id = try row.decode("\(level)_id", as: UUID?.self) else { return nil }
            return Named(
                id: Identifier<Area>(id).description, nameZH: try row.decode("\(level)_name_zh"),
                nameEN: try row.decode("\(level)_name_en"), type: type)
        }
        district = try named("district")
        street = try named("street")
        community = try named("community", type: try row.decode("community_type", as: String?.self))
        grid = try row.decode("grid_id", as: UUID?.self).map {
            Coded(id: Identifier<Area>($0).description, code: try row.decode("grid_code"))
        }
        tags = try row.decode("tags")
        responsible =
            showsPeople
            ? try row.decode("responsible_id", as: UUID?.self).map {
                Person(
                    id: Identifier<Area>($0).description, name: try row.decode("responsible_name"),
                    level: try row.decode("responsible_level"))
            } : nil
        nearestFacility = try row.decode("facility_id", as: UUID?.self).map {
            Facility(
                id: Identifier<Area>($0).description, kind: try row.decode("facility_kind"),
                code: try row.decode("facility_code"), distance: try row.decode("facility_distance_m"))
        }
    }
}

/// An area of any level, for ids that are shown only.
enum Area {}
