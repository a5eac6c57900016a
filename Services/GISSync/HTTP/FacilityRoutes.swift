import FoundationEssentials
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `GET /v1/facilities`: pipes, manholes, gullies, outfalls as GeoJSON features in a page.
struct FacilityRoutes: Sendable {
    let database: PostgresClient

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        document.define(
            "Facility",
            .object([
                .init("id", .uuid), .init("kind", .word(FacilityKind.self)),
                .init("system", .nullable(.word(PipeSystem.self))), .init("code", .string()),
                .init("source", .string()), .init("source_id", .string()), .init("district_id", .uuid),
                .init("community_id", .nullable(.uuid)), .init("diameter_mm", .nullable(.number(minimum: 0))),
                .init("length_m", .nullable(.number(minimum: 0))), .init("up_node", .nullable(.string())),
                .init("down_node", .nullable(.string())), .init("up_invert_m", .nullable(.number())),
                .init("down_invert_m", .nullable(.number())), .init("material", .nullable(.string())),
                .init("version", .integer(minimum: 1)), .init("changed_at", .time),
                .init("geometry", .object([], open: true), "GeoJSON, CRS84."),
            ]))
        router.add(
            &document,
            Operation(
                .get, "/v1/facilities", "Facilities by window, kind and community", access: .signedIn,
                parameters: [
                    .query("kind", .word(FacilityKind.self)), .query("community_id", .uuid),
                    .query(
                        "bbox", .string(pattern: "^-?[0-9.]+,-?[0-9.]+,-?[0-9.]+,-?[0-9.]+$"),
                        "west,south,east,north in degrees."),
                    .query("without_responsible", .boolean, "true: only facilities that nobody answers for (管养缺位)."),
                ], answers: [.ok(.page(of: .reference("Facility")))], paged: true)
        ) { request, context in
            try await list(request, context)
        }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        _ = try context.requireAccount()
        let query = try request.query()
        let page = try request.page("facilities", .id)
        let rows = try await database.query(
            FacilityStore.list(
                kind: try query.word("kind"), districts: context.scope.districtIDs,
                community: try query.id("community_id", Community.self)?.rawValue,
                window: try query.text("bbox").map(Self.window),
                unanswered: try query.bool("without_responsible") ?? false, after: page.cursor?.id(0),
                limit: page.limit), scope: context.scope)
        let items = try rows.map(FacilityItem.init)
        return try .json(
            .ok, Page(items, limit: page.limit) { Cursor("facilities", .id($0.id)) })
    }

    static func window(_ text: String) throws(Problem) -> FacilityStore.Window {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
        guard parts.count == 4, let west = parts[0], let south = parts[1], let east = parts[2], let north = parts[3],
            -180 <= west, west <= east, east <= 180, -90 <= south, south <= north, north <= 90
        else {
            throw .invalid(
                "bbox", code: "bbox", "west,south,east,north in degrees is wanted, with west ≤ east and south ≤ north.",
                zh: "应为“西,南,东,北”四个角度值，且西≤东、南≤北。")
        }
        return FacilityStore.Window(west: west, south: south, east: east, north: north)
    }
}

struct FacilityItem: Encodable, Sendable {
    var id: Facility.ID
    var kind: FacilityKind
    var system: PipeSystem?
    var code: String
    var source: String
    var sourceID: String
    var districtID: District.ID
    var communityID: Community.ID?
    var diameter: Double?
    var length: Double?
    var upNode: String?
    var downNode: String?
    var upInvert: Double?
    var downInvert: Double?
    var material: String?
    var version: Int
    var changedAt: Timestamp
    var geometry: JSONValue

    enum CodingKeys: String, CodingKey {
        case id, kind, system, code, source, material, version, geometry
        case sourceID = "source_id"
        case districtID = "district_id"
        case communityID = "community_id"
        case diameter = "diameter_mm"
        case length = "length_m"
        case upNode = "up_node"
        case downNode = "down_node"
        case upInvert = "up_invert_m"
        case downInvert = "down_invert_m"
        case changedAt = "changed_at"
    }

    init(_ row: Row) throws {
        id = try row.decode("facility_id")
        kind = try row.decode("kind")
        system = try row.decode("system", as: PipeSystem?.self)
        code = try row.decode("code")
        source = try row.decode("source")
        sourceID = try row.decode("source_id")
        districtID = try row.decode("district_id")
        communityID = try row.decode("community_id", as: Community.ID?.self)
        diameter = try row.decode("diameter_mm", as: Double?.self)
        length = try row.decode("length_m", as: Double?.self)
        upNode = try row.decode("up_node", as: String?.self)
        downNode = try row.decode("down_node", as: String?.self)
        upInvert = try row.decode("up_invert_m", as: Double?.self)
        downInvert = try row.decode("down_invert_m", as: Double?.self)
        material = try row.decode("material", as: String?.self)
        version = try row.decode("version")
        changedAt = try row.decode("changed_at")
        geometry = try JSONB(row.decode("geometry", as: String.self)).decode()
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(kind, forKey: .kind)
        try container.encode(system, forKey: .system)
        try container.encode(code, forKey: .code)
        try container.encode(source, forKey: .source)
        try container.encode(sourceID, forKey: .sourceID)
        try container.encode(districtID, forKey: .districtID)
        try container.encode(communityID, forKey: .communityID)
        try container.encode(diameter, forKey: .diameter)
        try container.encode(length, forKey: .length)
        try container.encode(upNode, forKey: .upNode)
        try container.encode(downNode, forKey: .downNode)
        try container.encode(upInvert, forKey: .upInvert)
        try container.encode(downInvert, forKey: .downInvert)
        try container.encode(material, forKey: .material)
        try container.encode(version, forKey: .version)
        try container.encode(changedAt, forKey: .changedAt)
        try container.encode(geometry, forKey: .geometry)
    }
}
