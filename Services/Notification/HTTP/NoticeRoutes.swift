import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `/v1/notices`: what an office was told, acknowledging it, commenting on it.
struct NoticeRoutes: Sendable {
    let database: PostgresClient
    let acknowledging: Acknowledging

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        let access = Operation.Access.roles([.office, .dispatcher, .manager, .admin])
        let acting = Operation.Access.roles([.office, .dispatcher])
        document.define("Notice", .object(NoticeSchema.fields))
        document.define("NoticeDetail", .object(NoticeSchema.fields + NoticeSchema.detail + NoticeSchema.deliveries))
        router.add(
            &document,
            Operation(
                .get, "/v1/notices", "Notices, newest first", access: access,
                description: "An office's people see their offices' notices; the others their districts'.",
                parameters: [
                    .query("state", .word(NoticeState.self)), .query("emergency", .boolean), .query("case_id", .uuid),
                ], answers: [.ok(.page(of: .reference("Notice")))], paged: true)
        ) { request, context in try await list(request, context) }
        router.add(
            &document,
            Operation(
                .get, "/v1/notices/{id}", "A notice with its case, who is on the way, comments and deliveries",
                access: access, answers: [.ok(.reference("NoticeDetail"), versioned: true)])
        ) { request, context in try await show(context) }
        router.add(
            &document,
            Operation(
                .post, "/v1/notices/{id}/acknowledge", "Say that the office knows", access: acting,
                body: .json(.object([])), answers: [.ok(NoticeSchema.acknowledged)], idempotent: true)
        ) { request, context in try await acknowledge(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/v1/notices/{id}/comments", "Comment on the case", access: acting,
                body: .json(.object([.init("body", .text(1...2_000))])), answers: [.created(NoticeSchema.commented)],
                idempotent: true)
        ) { request, context in try await comment(request, context) }
    }

    /// The offices whose notices an account may see; nil is all of its districts'.
    private func offices(_ context: APIContext) async throws -> [UUID]? {
        let claims = try context.require(.office, .dispatcher, .manager, .admin)
        if claims.has(.dispatcher) || claims.has(.manager) || claims.has(.admin) { return nil }
        return try await database.query(OfficeStore.offices(of: claims.sub), scope: context.scope).column(UUID.self)
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let offices = try await offices(context)
        let query = try request.query()
        let page = try request.page("notices", .id)
        let rows = try await database.query(
            NoticeViews.list(
                NoticeViews.Filter(
                    districts: context.scope.districtIDs, offices: offices, state: try query.word("state"),
                    emergency: try query.bool("emergency"), caseID: try query.id("case_id")),
                before: page.cursor?.id(0), limit: page.limit), scope: context.scope)
        let items = try rows.prefix(page.limit).map { JSONValue.object(try RowJSON.object($0, RowJSON.notice)) }
        let last = rows.count > page.limit ? rows[page.limit - 1] : nil
        return try .json(
            .ok,
            Page(items: items, next: try last.map { Cursor("notices", .id(try $0.decode("notice_id", as: UUID.self))) })
        )
    }

    private func show(_ context: APIContext) async throws -> Response {
        let offices = try await offices(context)
        let id: Notice.ID = try context.pathID("id")
        let answers = try await database.segment(
            NoticeViews.one(id, districts: context.scope.districtIDs, offices: offices), scope: context.scope)
        guard let detail = try RowJSON.detail(answers, deliveries: true) else { throw Problem.notFound }
        return try .json(.ok, headers: .version(try answers[0][0].decode("version", as: Int.self)), detail)
    }

    private struct Nothing: Decodable {}

    private struct NewComment: Decodable {
        var body: String
    }

    private func acknowledge(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.office, .dispatcher)
        let offices = try await offices(context)
        let id: Notice.ID = try context.pathID("id")
        let body = try await request.jsonBody(limit: 4_096)
        let _: Nothing = try body.decode()
        let key = try Idempotency.read(request, context, body: body.bytes)
        let person = Acknowledging.Person(actor: "account:\(claims.sub)", name: claims.name)
        return try await Idempotency.once(key, using: database) {
            let answer = try await acknowledging.acknowledge(
                id, by: person, scope: context.scope, key: key, answer: NoticeSchema.answer,
                allowed: { try Self.require($0, offices, context) })
            return answer.response
        }
    }

    private func comment(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.office, .dispatcher)
        let offices = try await offices(context)
        let id: Notice.ID = try context.pathID("id")
        let body = try await request.jsonBody(limit: 16_384)
        let input: NewComment = try body.decode()
        var check = Validation()
        check.text("body", input.body, 1...2_000)
        try check.finish()
        let key = try Idempotency.read(request, context, body: body.bytes)
        let person = Acknowledging.Person(actor: "account:\(claims.sub)", name: claims.name)
        return try await Idempotency.once(key, using: database) {
            let answer = try await acknowledging.comment(
                id, body: input.body, by: person, scope: context.scope, key: key,
                allowed: { try Self.require($0, offices, context) })
            return answer.response
        }
    }

    /// What is outside is not there: 404, as for an id that does not exist.
    private static func require(_ notice: NoticeRecord, _ offices: [UUID]?, _ context: APIContext) throws {
        let inDistrict = context.scope.districtIDs.map { $0.contains(notice.district.rawValue) } ?? true
        let inOffice = offices.map { ids in notice.office.map { ids.contains($0.rawValue) } ?? false } ?? true
        guard inDistrict, inOffice else { throw Problem.notFound }
    }
}

/// The forms of notices.
enum NoticeSchema {
    static let fields: [Schema.Field] = [
        .init("notice_id", .uuid), .init("case_id", .uuid), .init("district_id", .uuid),
        .init("street_id", .nullable(.uuid)), .init("office_id", .nullable(.uuid)),
        .init("office_name", .nullable(.string())), .init("office_name_en", .nullable(.string())),
        .init("recipient_name", .nullable(.string())), .init("purpose", .word(NoticePurpose.self)),
        .init("round", .integer(minimum: 1)), .init("state", .word(NoticeState.self)), .init("emergency", .boolean),
        .init("version", .integer(minimum: 1)), .init("channel_kinds", .array(of: .string())),
        .init("created_at", .time), .init("first_attempt_at", .nullable(.time)),
        .init("delivered_at", .nullable(.time)), .init("acknowledged_at", .nullable(.time)),
        .init("acknowledged_by", .nullable(.string()), "account:<id> or recipient:<id>."),
        .init("acknowledged_name", .nullable(.string()), "Of the person who acknowledged."),
        .init("escalate_at", .nullable(.time)), .init("reason", .string()),
    ]

    private static let nullableText = Schema.nullable(.string())
    private static let nullableTime = Schema.nullable(.time)

    static let detail: [Schema.Field] = [
        .init(
            "case",
            .nullable(
                .object([
                    .init("case_id", .uuid), .init("number", nullableText), .init("category", .string()),
                    .init("category_zh", nullableText), .init("category_en", nullableText),
                    .init("severity", .integer(1...5)), .init("emergency", .boolean),
                    .init("state", .word(CaseState.self)), .init("lon", .number()), .init("lat", .number()),
                    .init("opened_at", .time), .init("respond_due", nullableTime), .init("resolve_due", nullableTime),
                    .init("report_count", .integer(minimum: 0)), .init("community_zh", nullableText),
                    .init("community_en", nullableText),
                ]))),
        .init("timeline", .array(of: .object([.init("at", .time), .init("fact", .string())]))),
        .init(
            "orders",
            .array(
                of: .object([
                    .init("crew_name", nullableText), .init("state", .word(OrderState.self)),
                    .init("assigned_at", .time), .init("en_route_at", nullableTime), .init("on_site_at", nullableTime),
                    .init("done_at", nullableTime),
                ]))),
        .init(
            "comments",
            .array(
                of: .object([
                    .init("comment_id", .uuid), .init("author_name", .string()), .init("body", .string()),
                    .init("at", .time),
                ]))),
    ]

    static let deliveries: [Schema.Field] = [
        .init(
            "deliveries",
            .array(
                of: .object([
                    .init("delivery_id", .uuid), .init("kind", .words(ChannelKind.offered.map(\.rawValue))),
                    .init("state", .words(["waiting", "delivered", "failed", "withdrawn"])),
                    .init("attempt", .integer(minimum: 0)), .init("created_at", .time),
                    .init("delivered_at", nullableTime), .init("last_outcome", nullableText),
                ])))
    ]

    static let acknowledged = Schema.object([
        .init("notice_id", .uuid), .init("state", .word(NoticeState.self)), .init("acknowledged_at", .nullable(.time)),
    ])
    static let commented = Schema.object([.init("id", .uuid), .init("notice_id", .uuid)])

    @Sendable static func answer(_ notice: NoticeRecord) throws -> StoredResponse {
        try StoredResponse(
            .ok,
            json: JSONValue.object([
                "notice_id": .string(notice.id.description), "state": .string(notice.state.rawValue),
                "acknowledged_at": notice.acknowledgedAt.map { .string($0.description) } ?? .null,
            ]))
    }
}
