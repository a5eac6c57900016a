import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Outbox
import Postgres
import ServiceKit

/// Signed links: one notice, one recipient, one purpose. `GET /a/{kid}` gives a page that knows nothing; the token is in
/// the fragment, which no server and no mail scanner's request ever carries. Looking and acknowledging are POSTs, and
/// acknowledging needs the name of the person who does it.
struct LinkRoutes: Sendable {
    let database: PostgresClient
    let acknowledging: Acknowledging
    let keys: NotificationKeys
    let sources: Sources
    let limiter: RateLimiter

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        let token: [Schema.Field] = [
            .init("kid", .string(minLength: 16, maxLength: 32, pattern: "^[A-Za-z0-9_-]{16,32}$")),
            .init("token", .text(1...200), "What stands behind # in the link."),
        ]
        let kid = Operation.Parameter.path("kid", .string(minLength: 1, maxLength: 64))
        let ended: [Operation.Answer] = [
            .init(.notFound, "No such link, or a wrong token.", problem),
            .init(.gone, "Expired or withdrawn.", problem),
        ]
        document.define("LinkView", .object(NoticeSchema.fields + NoticeSchema.detail))
        router.add(
            &document,
            Operation(
                .get, "/a/{kid}", "The page of a signed link", access: .anyone, tag: "links", parameters: [kid],
                answers: [.init(.ok, "A page; it shows nothing without the token.", .bytes("text/html"))])
        ) { _, _ in LinkPage.response }
        router.add(
            &document,
            Operation(
                .post, "/a/view", "The notice of a link", access: .anyone, tag: "links", body: .json(.object(token)),
                answers: [.ok(.reference("LinkView"))] + ended)
        ) { request, context in try await view(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/a/acknowledge", "Acknowledge by a link", access: .anyone, tag: "links",
                description: "Needs the name of the person who acknowledges; nothing that only follows links has one.",
                body: .json(.object(token + [.init("name", .text(1...120))])),
                answers: [.ok(NoticeSchema.acknowledged)] + ended)
        ) { request, context in try await acknowledge(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/a/comments", "Comment by a link", access: .anyone, tag: "links",
                description: "Sent again with the same key it is stored once; the page makes a key for each comment.",
                body: .json(.object(token + [.init("name", .text(1...120)), .init("body", .text(1...2_000))])),
                answers: [.created(NoticeSchema.commented)] + ended,
                idempotent: true)
        ) { request, context in try await comment(request, context) }
    }

    private var problem: Operation.Content { .of((Problem.contentType, .reference("Problem"))) }

    private struct Opening: Decodable {
        var kid: String
        var token: String
    }

    private struct Naming: Decodable {
        var kid: String
        var token: String
        var name: String
    }

    private struct Commenting: Decodable {
        var kid: String
        var token: String
        var name: String
        var body: String
    }

    private struct Opened {
        var link: Link
        var district: UUID
    }

    /// Finds a link and checks its token. A wrong token and an unknown link look alike.
    private func open(kid: String, token: String, _ context: APIContext) async throws -> Opened {
        try limiter.require(context.client.prefix, now: sources.now())
        let row =
            kid.utf8.count <= 32
            ? try await database.query(NoticeStore.findLink(kid), scope: .none).first : nil
        guard let row else { throw Problem.notFound }
        let link = Link(
            kid: kid, notice: try row.decode("notice_id"), recipient: try row.decode("recipient_id"),
            expiresAt: try row.decode("expires_at"))
        guard keys.isValid(token, for: link) else { throw Problem.notFound }
        if try row.decode("withdrawn_at", as: Timestamp?.self) != nil {
            throw Problem(
                .gone, code: "link_withdrawn",
                "This link has ended: its case was closed, merged or lowered, or you are not on duty any more.",
                zh: "该链接已失效：案件已结案、合并或不再紧急，或您已不在值班。")
        }
        if link.expiresAt <= sources.now() {
            throw Problem(
                .gone, code: "link_expired", "This link has expired. Sign in to see the case.", zh: "链接已过期，请登录查看案件。")
        }
        return Opened(link: link, district: try row.decode("link_district"))
    }

    private func view(_ request: Request, _ context: APIContext) async throws -> Response {
        let input: Opening = try await request.json(limit: 4_096)
        let opened = try await open(kid: input.kid, token: input.token, context)
        let answers = try await database.segment(
            NoticeViews.one(opened.link.notice, districts: [opened.district], offices: nil),
            scope: .districts([opened.district]))
        guard let detail = try RowJSON.detail(answers, deliveries: false) else { throw Problem.notFound }
        return try .json(.ok, headers: [.cacheControl: "no-store"], detail)
    }

    private func acknowledge(_ request: Request, _ context: APIContext) async throws -> Response {
        let input: Naming = try await request.json(limit: 4_096)
        var check = Validation()
        check.text("name", input.name, 1...120)
        try check.finish()
        let opened = try await open(kid: input.kid, token: input.token, context)
        let person = Acknowledging.Person(actor: "recipient:\(opened.link.recipient)", name: input.name)
        let answer = try await acknowledging.acknowledge(
            opened.link.notice, by: person, scope: .districts([opened.district]), key: nil,
            answer: NoticeSchema.answer, allowed: { _ in })
        return answer.response
    }

    private func comment(_ request: Request, _ context: APIContext) async throws -> Response {
        let json = try await request.jsonBody(limit: 16_384)
        let input: Commenting = try json.decode()
        var check = Validation()
        check.text("name", input.name, 1...120)
        check.text("body", input.body, 1...2_000)
        try check.finish()
        let opened = try await open(kid: input.kid, token: input.token, context)
        let key = try Idempotency.read(request, context, link: opened.link.kid, body: json.bytes)
        let person = Acknowledging.Person(actor: "recipient:\(opened.link.recipient)", name: input.name)
        return try await Idempotency.once(key, using: database) {
            let answer = try await acknowledging.comment(
                opened.link.notice, body: input.body, by: person, scope: .districts([opened.district]), key: key,
                allowed: { _ in })
            return answer.response
        }
    }
}
