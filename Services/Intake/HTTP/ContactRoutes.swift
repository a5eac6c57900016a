import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Postgres
import ServiceKit

/// `/v1/contacts`: how to reach the sender of a report. Shown to dispatchers who say why; every look is logged, and the
/// log is shown to managers. An administrator of the whole city erases a sender who asks for it.
struct ContactRoutes: Sendable {
    /// Looks of one account an hour: enough for a storm's calls, too few to copy the register.
    static let hourlyLimit = 60

    let store: ContactStore
    let eraser: ErasePerson
    let master: MasterKey
    let sources: Sources

    private struct Asking: Decodable { var purpose: String }
    private enum Act: String, CaseIterable { case look, erase }

    private struct Shown: Encodable {
        var reportID: Report.ID
        var contact: Contact
        var lookID: Identifier<ContactLook>

        enum CodingKeys: String, CodingKey {
            case contact
            case reportID = "report_id"
            case lookID = "look_id"
        }
    }

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        document.define(
            "ContactLook",
            .object([
                .init("look_id", .uuid), .init("report_id", .uuid), .init("district_id", .uuid),
                .init("account_id", .uuid), .init("display_name", .nullable(.string())), .init("act", .word(Act.self)),
                .init("purpose", .string()), .init("at", .time),
            ]))
        router.add(
            &document,
            Operation(
                .post, "/v1/contacts/{report_id}/look", "See how to reach the sender of a report",
                access: .roles(.dispatcher),
                description: """
                    The look is logged with its purpose before anything is shown. Each call is a look of its own, so \
                    there is no idempotency key, and the answer is stored nowhere.
                    """,
                body: .json(.object([.init("purpose", .text(4...300), "Why; shown in the log.")])),
                answers: [
                    .ok(
                        .object([
                            .init("report_id", .uuid), .init("look_id", .uuid),
                            .init(
                                "contact",
                                .object([
                                    .init("name", .string(), required: false),
                                    .init("phone", .string(), required: false),
                                    .init("email", .string(), required: false),
                                ])),
                        ])), .init(.gone, "The person was erased.", .of((Problem.contentType, .reference("Problem")))),
                ])
        ) { request, context in try await look(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/v1/contacts/{report_id}/erase", "Erase the sender of a report", access: .roles(.admin),
                description: """
                    Destroys the key of this person's contact, in every report that came with the same telephone number or \
                    mail address (a name alone: in this report only). Cannot be undone. The cases' facts stay, the \
                    description among them. For administrators of the whole city; logged with the looks.
                    """,
                body: .json(.object([.init("purpose", .text(4...300), "Why; shown in the log.")])),
                answers: [
                    .ok(
                        .object([
                            .init("report_id", .uuid),
                            .init(
                                "erased_reports", .integer(minimum: 0),
                                "Reports that no longer have a contact; 0 if it had been erased before."),
                        ]))
                ], idempotent: true)
        ) { request, context in try await erase(request, context) }
        router.add(
            &document,
            Operation(
                .get, "/v1/contacts/looks", "Who looked at contacts, or erased them, and why",
                access: .roles(.manager, .admin),
                parameters: [.query("report_id", .uuid)], answers: [.ok(.page(of: .reference("ContactLook")))],
                paged: true)
        ) { request, context in try await looks(request, context) }
    }

    private func look(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.dispatcher)
        let report = try context.pathID("report_id", Report.self)
        let input = try await request.json(Asking.self, limit: 4_096)
        var check = Validation()
        check.text("purpose", input.purpose, 4...300)
        try check.finish()
        let id = sources.randomUUID(sources.now())
        let found = try await store.look(
            at: report, by: claims.sub, purpose: input.purpose, id: id, hourlyLimit: Self.hourlyLimit,
            scope: context.scope)
        switch found {
        case nil: throw Problem.notFound("The contact", zh: "该联系方式")
        case .tooOften: throw Problem.tooMany(retryAfter: 600)
        case .erased:
            throw Problem(
                .gone, code: "contact_erased", "This person's data were erased.", zh: "该联系人的个人信息已删除。")
        case .sealed(let sealed, let wrappedKey, let personID):
            let contact = try SealedContact.open(sealed, wrappedKey: wrappedKey, personID: personID, master: master)
            return try Response.json(
                .ok, headers: [.cacheControl: "no-store"],
                Shown(reportID: report, contact: contact, lookID: Identifier(id)))
        }
    }

    private func erase(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.admin)
        guard claims.districts == .city else { throw Problem.forbidden }
        let report = try context.pathID("report_id", Report.self)
        let body = try await request.jsonBody(limit: 4_096)
        let input = try body.decode(Asking.self)
        var check = Validation()
        check.text("purpose", input.purpose, 4...300)
        try check.finish()
        let key = try Idempotency.read(request, context, body: body.bytes)
        return try await Idempotency.once(key, using: store.database) {
            let answer = try await eraser.erase(
                senderOf: report, by: claims.sub, reason: input.purpose, claim: key.claim,
                complete: { try key.complete(try StoredResponse(.ok, json: $0)) })
            return try Response.json(.ok, answer)
        }
    }

    private func looks(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.manager, .admin)
        let page = try request.page("contact_looks", .id)
        let rows = try await store.looks(
            at: try request.query().id("report_id", Report.self), districts: context.scope.districtIDs,
            after: page.cursor?.id(0), limit: page.limit, scope: context.scope)
        return try Response.json(
            .ok, Page(try rows.map(ContactLook.init), limit: page.limit) { Cursor("contact_looks", .id($0.lookID)) })
    }
}

/// One look as the log shows it.
struct ContactLook: Encodable, Sendable {
    var lookID: Identifier<ContactLook>
    var reportID: Report.ID
    var districtID: District.ID
    var accountID: Account.ID
    var displayName: String?
    var act: String
    var purpose: String
    var at: Timestamp

    enum CodingKeys: String, CodingKey {
        case act, purpose, at
        case lookID = "look_id"
        case reportID = "report_id"
        case districtID = "district_id"
        case accountID = "account_id"
        case displayName = "display_name"
    }

    init(_ row: Row) throws {
        lookID = try row.decode("look_id")
        reportID = try row.decode("report_id")
        districtID = try row.decode("district_id")
        accountID = try row.decode("account_id")
        displayName = try row.decode("display_name", as: String?.self)
        act = try row.decode("act")
        purpose = try row.decode("purpose")
        at = try row.decode("at")
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(lookID, forKey: .lookID)
        try container.encode(reportID, forKey: .reportID)
        try container.encode(districtID, forKey: .districtID)
        try container.encode(accountID, forKey: .accountID)
        try container.encode(displayName, forKey: .displayName)
        try container.encode(act, forKey: .act)
        try container.encode(purpose, forKey: .purpose)
        try container.encode(at, forKey: .at)
    }
}
