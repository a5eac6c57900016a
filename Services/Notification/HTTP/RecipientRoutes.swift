import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `/v1/offices/{id}/recipients`: who is on duty in an office.
struct RecipientRoutes: Sendable {
    let database: PostgresClient
    let sources: Sources

    private static let languages = ["zh", "en"]

    /// A person as an office lists them.
    static let fields: [Schema.Field] = [
        .init("id", .uuid), .init("level", .integer(1...2)), .init("name", .string()),
        .init("language", .words(languages)), .init("account_id", .nullable(.uuid)), .init("active", .boolean),
        .init("version", .integer(minimum: 1)),
    ]

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        let name = Schema.text(1...120)
        document.define("Recipient", .object(Self.fields + [.init("office_id", .uuid), .init("district_id", .uuid)]))
        router.add(
            &document,
            Operation(
                .get, "/v1/offices/{id}/recipients", "The people of an office",
                access: .roles(.admin, .dispatcher, .manager, .office),
                answers: [.ok(.page(of: .reference("Recipient")))], paged: true)
        ) { request, context in try await list(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/v1/offices/{id}/recipients", "Put somebody on duty", access: .roles(.admin),
                body: .json(
                    .object([
                        .init("level", .integer(1...2)), .init("name", name),
                        .init("language", .words(Self.languages), required: false),
                        .init("account_id", .uuid, required: false, "Who signs in as this person."),
                    ])), answers: [.created(.object([.init("id", .uuid)]), versioned: true)], idempotent: true)
        ) { request, context in try await add(request, context) }
        router.add(
            &document,
            Operation(
                .patch, "/v1/offices/{id}/recipients/{recipient}", "Change somebody, or take them off duty",
                access: .roles(.admin),
                description: "Inactive: their links end and what waits to be sent to them is withdrawn.",
                body: .json(
                    .object([
                        .init("level", .integer(1...2), required: false), .init("name", name, required: false),
                        .init("language", .words(Self.languages), required: false),
                        .init("account_id", .uuid, required: false, "Who signs in as this person from now on."),
                        .init("active", .boolean, required: false),
                    ])), answers: [.ok(.reference("Recipient"), versioned: true)], conditional: true)
        ) { request, context in try await change(request, context) }
    }

    // MARK: Looking

    private static func item(_ row: Row) throws -> JSONValue {
        var object = try RowJSON.object(
            row,
            [
                ("office_id", .id), ("district_id", .id), ("level", .integer), ("name", .text), ("language", .text),
                ("account_id", .id), ("active", .bool), ("version", .integer),
            ])
        object["id"] = .string(try row.decode("recipient_id", as: Recipient.ID.self).description)
        return .object(object)
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin, .dispatcher, .manager, .office)
        let office: Office.ID = try context.pathID("id")
        let page = try request.page("recipients", .id)
        let answers = try await database.segment(
            [
                OfficeStore.one(office),
                RecipientStore.list(of: office, after: page.cursor?.id(0), limit: page.limit),
            ], scope: context.scope)
        guard !answers[0].isEmpty else { throw Problem.notFound }
        let rows = answers[1]
        let last = rows.count > page.limit ? rows[page.limit - 1] : nil
        return try .json(
            .ok,
            Page(
                items: try rows.prefix(page.limit).map(Self.item),
                next: try last.map { Cursor("recipients", .id(try $0.decode("recipient_id", as: UUID.self))) }))
    }

    // MARK: Changing

    private struct NewRecipient: Decodable {
        var level: Int
        var name: String
        var language: String?
        var account: Account.ID?

        enum CodingKeys: String, CodingKey {
            case level, name, language
            case account = "account_id"
        }
    }

    private static func check(level: Int?, name: String?, language: String?) throws(Problem) {
        var check = Validation()
        if let level { check.range("level", level, 1...2) }
        if let name { check.text("name", name, 1...120) }
        if let language {
            check.require(
                languages.contains(language), "language", code: "not_allowed", "zh or en is wanted.",
                zh: "应为 zh 或 en。", allowed: languages)
        }
        try check.finish()
    }

    private func add(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let office: Office.ID = try context.pathID("id")
        let body = try await request.jsonBody(limit: 16_384)
        let input: NewRecipient = try body.decode()
        try Self.check(level: input.level, name: input.name, language: input.language)
        let key = try Idempotency.read(request, context, body: body.bytes)
        guard let row = try await database.query(OfficeStore.one(office), scope: context.scope).first else {
            throw Problem.notFound
        }
        let district: District.ID = try row.decode("district_id")
        let id: Recipient.ID = sources.id()
        let answer = try StoredResponse(.created, headers: .version(1), json: ["id": id.description])
        return try await Idempotency.once(key, using: database) {
            _ = try await database.segment(
                [
                    try key.claim(answer),
                    RecipientStore.insert(
                        id, office: office, district: district, level: input.level, name: input.name,
                        language: input.language ?? "zh", account: input.account),
                ], scope: context.scope)
            return answer.response
        }
    }

    private struct RecipientChange: Decodable {
        var level: Int?
        var name: String?
        var language: String?
        var account: Account.ID?
        var active: Bool?

        enum CodingKeys: String, CodingKey {
            case level, name, language, active
            case account = "account_id"
        }
    }

    private func change(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let office: Office.ID = try context.pathID("id")
        let id: Recipient.ID = try context.pathID("recipient")
        let input: RecipientChange = try await request.json(limit: 16_384)
        try Self.check(level: input.level, name: input.name, language: input.language)
        let version = try request.ifMatch()
        let change = RecipientStore.Change(
            level: input.level, name: input.name, language: input.language, account: input.account,
            active: input.active)
        // Not only by the change that made them inactive: said again, it also takes back what was made in that moment.
        let answers = try await database.segment(
            [RecipientStore.update(id, of: office, version: version, change), RecipientStore.one(id, of: office)]
                + (input.active == false ? RecipientStore.takeBack(from: id) : []), scope: context.scope)
        guard let row = answers[1].first else { throw Problem.notFound }
        let current = try row.decode("version", as: Int.self)
        guard !answers[0].isEmpty else { throw Problem.preconditionFailed(current: current) }
        return try .json(.ok, headers: .version(current), try Self.item(row))
    }
}
