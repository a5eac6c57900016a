import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `/v1/offices`: street offices, each with who is on duty in it.
struct OfficeRoutes: Sendable {
    let database: PostgresClient
    let sources: Sources

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        let name = Schema.text(1...120)
        document.define(
            "Office",
            .object([
                .init("id", .uuid), .init("district_id", .uuid), .init("street_id", .nullable(.uuid)),
                .init("name_zh", .string()), .init("name_en", .string()), .init("version", .integer(minimum: 1)),
                .init("active", .boolean),
                .init("recipients", .array(of: .object(RecipientRoutes.fields))),
            ]))
        let created = Schema.object([.init("id", .uuid)])
        router.add(
            &document,
            Operation(
                .get, "/v1/offices", "Street offices and their contacts",
                access: .roles(.admin, .dispatcher, .manager, .office),
                answers: [.ok(.page(of: .reference("Office")))], paged: true)
        ) { request, context in try await list(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/v1/offices", "Add an office", access: .roles(.admin),
                body: .json(
                    .object([
                        .init("district_id", .uuid),
                        .init("street_id", .uuid, required: false, "None: the district's own."),
                        .init("name_zh", name), .init("name_en", name),
                    ])), answers: [.created(created, versioned: true)], idempotent: true)
        ) { request, context in try await add(request, context) }
        router.add(
            &document,
            Operation(
                .patch, "/v1/offices/{id}", "Change an office", access: .roles(.admin),
                body: .json(
                    .object([
                        .init("name_zh", name, required: false), .init("name_en", name, required: false),
                        .init("active", .boolean, required: false),
                    ])), answers: [.ok(.reference("Office"), versioned: true)], conditional: true)
        ) { request, context in try await change(request, context) }
    }

    // MARK: Looking

    private static func item(_ row: Row) throws -> JSONValue {
        var object = try RowJSON.object(
            row,
            [
                ("district_id", .id), ("street_id", .id), ("name_zh", .text), ("name_en", .text), ("version", .integer),
                ("active", .bool),
            ])
        object["id"] = .string(try row.decode("office_id", as: Office.ID.self).description)
        object["recipients"] = try row.decode("recipients", as: JSONB.self).decode()
        return .object(object)
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin, .dispatcher, .manager, .office)
        let page = try request.page("offices", .id)
        let rows = try await database.query(
            OfficeStore.list(districts: context.scope.districtIDs, after: page.cursor?.id(0), limit: page.limit),
            scope: context.scope)
        let last = rows.count > page.limit ? rows[page.limit - 1] : nil
        return try .json(
            .ok,
            Page(
                items: try rows.prefix(page.limit).map(Self.item),
                next: try last.map { Cursor("offices", .id(try $0.decode("office_id", as: UUID.self))) }))
    }

    // MARK: Changing

    private struct NewOffice: Decodable {
        var district: District.ID
        var street: Street.ID?
        var nameZH: String
        var nameEN: String

        enum CodingKeys: String, CodingKey {
            case district = "district_id"
            case street = "street_id"
            case nameZH = "name_zh"
            case nameEN = "name_en"
        }
    }

    private func add(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let body = try await request.jsonBody(limit: 16_384)
        let input: NewOffice = try body.decode()
        var check = Validation()
        check.text("name_zh", input.nameZH, 1...120)
        check.text("name_en", input.nameEN, 1...120)
        try check.finish()
        try context.requireDistrict(input.district, field: "district_id")
        let key = try Idempotency.read(request, context, body: body.bytes)
        let id: Office.ID = sources.id()
        let answer = try StoredResponse(.created, headers: .version(1), json: ["id": id.description])
        return try await Idempotency.once(key, using: database) {
            do {
                _ = try await database.segment(
                    [
                        try key.claim(answer),
                        OfficeStore.insert(
                            id, district: input.district, street: input.street, nameZH: input.nameZH,
                            nameEN: input.nameEN),
                    ], scope: context.scope)
            } catch let error as PostgresError
                where error.isUniqueViolation(constraint: "office_district_id_street_id_key")
            {
                throw Problem.conflict(
                    code: "office_exists", "This street, or this district, has an office already.", zh: "该街道或该区已有办公室。")
            }
            return answer.response
        }
    }

    private struct OfficeChange: Decodable {
        var nameZH: String?
        var nameEN: String?
        var active: Bool?

        enum CodingKeys: String, CodingKey {
            case active
            case nameZH = "name_zh"
            case nameEN = "name_en"
        }
    }

    private func change(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let id: Office.ID = try context.pathID("id")
        let input: OfficeChange = try await request.json(limit: 16_384)
        var check = Validation()
        if let name = input.nameZH { check.text("name_zh", name, 1...120) }
        if let name = input.nameEN { check.text("name_en", name, 1...120) }
        try check.finish()
        let version = try request.ifMatch()
        let answers = try await database.segment(
            [
                OfficeStore.update(
                    id, version: version, nameZH: input.nameZH, nameEN: input.nameEN, active: input.active),
                OfficeStore.one(id),
            ], scope: context.scope)
        guard let row = answers[1].first else { throw Problem.notFound }
        let current = try row.decode("version", as: Int.self)
        guard !answers[0].isEmpty else { throw Problem.preconditionFailed(current: current) }
        return try .json(.ok, headers: .version(current), try Self.item(row))
    }
}
