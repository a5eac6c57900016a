import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import ServiceKit

/// `/v1/channels`: webhooks and mail addresses. Addresses are shown masked; a secret is shown once, when it is made.
struct ChannelRoutes: Sendable {
    let database: PostgresClient
    let sources: Sources
    let channels: Channels

    func register(on router: Router<APIContext>, in document: inout OpenAPIDocument) {
        document.define(
            "Channel",
            .object([
                .init("id", .uuid), .init("recipient_id", .uuid), .init("district_id", .uuid),
                .init("kind", .words(ChannelKind.offered.map(\.rawValue))), .init("address", .string(), "Masked."),
                .init("active", .boolean), .init("version", .integer(minimum: 1)),
                .init("rotating", .boolean, "The secret before the present one still signs too."),
            ]))
        router.add(
            &document,
            Operation(
                .get, "/v1/channels", "Channels of recipients", access: .roles(.admin),
                answers: [.ok(.page(of: .reference("Channel")))], paged: true)
        ) { request, context in try await list(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/v1/channels", "Add a webhook or mail address", access: .roles(.admin),
                body: .json(
                    .object([
                        .init("recipient_id", .uuid), .init("kind", .words(ChannelKind.offered.map(\.rawValue))),
                        .init("address", .text(3...2_000), "An https URL, or a mail address."),
                    ])),
                answers: [
                    .created(
                        .object([
                            .init("id", .uuid),
                            .init("secret", .nullable(.string()), "Of a webhook (whsec_…); it is not shown again."),
                        ]), versioned: true)
                ], idempotent: true)
        ) { request, context in try await add(request, context) }
        router.add(
            &document,
            Operation(
                .patch, "/v1/channels/{id}", "Switch a channel on or off, or rotate its secret",
                access: .roles(.admin),
                description: """
                    Off: what waits for the channel is withdrawn. While the secret before signs too, another rotation is \
                    409 `rotating`: the receiver may know no other secret yet.
                    """,
                parameters: [
                    Operation.Parameter(
                        "Idempotency-Key", .string(minLength: 8, maxLength: 200, pattern: "^[\\x21-\\x7E]{8,200}$"),
                        in: .header,
                        "Sent again with the same key it is answered the same, so that a lost secret can be had again."
                    )
                ],
                body: .json(
                    .object([
                        .init("active", .boolean, required: false),
                        .init("rotate_secret", .boolean, required: false, "The old secret signs too for a day."),
                    ])),
                answers: [
                    .ok(.object([.init("id", .uuid), .init("secret", .nullable(.string()))]), versioned: true)
                ], conditional: true)
        ) { request, context in try await change(request, context) }
        router.add(
            &document,
            Operation(
                .post, "/v1/channels/{id}/test", "Send a test message now", access: .roles(.admin),
                body: .json(.object([])),
                answers: [
                    .ok(
                        .object([
                            .init("outcome", .words(["delivered", "refused", "unknown", "not_sent"])),
                            .init("detail", .string()),
                        ]))
                ], idempotent: true)
        ) { request, context in try await test(request, context) }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let page = try request.page("channels", .id)
        let rows = try await database.query(
            OfficeStore.channels(districts: context.scope.districtIDs, after: page.cursor?.id(0), limit: page.limit),
            scope: context.scope)
        let items = try rows.prefix(page.limit).map { row -> JSONValue in
            var object = try RowJSON.object(
                row,
                [
                    ("recipient_id", .id), ("district_id", .id), ("kind", .text), ("active", .bool),
                    ("version", .integer), ("rotating", .bool),
                ])
            object["id"] = .string(try row.decode("channel_id", as: Identifier<Message>.self).description)
            object["address"] = .string(Self.masked((try? channels.keys.open(row.decode("address"))) ?? ""))
            return .object(object)
        }
        let last = rows.count > page.limit ? rows[page.limit - 1] : nil
        return try .json(
            .ok,
            Page(
                items: items, next: try last.map { Cursor("channels", .id(try $0.decode("channel_id", as: UUID.self))) }
            ))
    }

    /// Enough to recognise it: `d***@example.org`, `https://example.org/***`.
    static func masked(_ address: String) -> String {
        if let target = WebhookTarget(address) { return "\(address.prefix { $0 != ":" })://\(target.host)/***" }
        let parts = address.split(separator: "@")
        return parts.count == 2 ? "\(parts[0].prefix(1))***@\(parts[1])" : "***"
    }

    private struct NewChannel: Decodable {
        var recipient: Recipient.ID
        var kind: String
        var address: String

        enum CodingKeys: String, CodingKey {
            case kind, address
            case recipient = "recipient_id"
        }
    }

    private func newSecret() -> String {
        "whsec_" + Data(sources.randomBytes(32)).base64EncodedString()
    }

    private func add(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let body = try await request.jsonBody(limit: 16_384)
        let input: NewChannel = try body.decode()
        let offered = ChannelKind.offered.map(\.rawValue)
        // What an address must look like depends on the kind, so a wrong kind is all that can be said.
        guard let kind = ChannelKind(rawValue: input.kind), kind.isOffered else {
            throw Problem.invalid([
                FieldError(
                    "kind", code: "not_allowed", "\(offered.joined(separator: " or ")) is wanted.",
                    zh: "应为 \(offered.joined(separator: " 或 "))。", allowed: offered)
            ])
        }
        var check = Validation()
        switch kind {
        case .webhook:
            check.require(
                WebhookTarget(input.address) != nil, "address", code: "url",
                "An http or https URL without a user is wanted.",
                zh: "应为不含用户信息的 http 或 https 地址。")
        case .mail:
            check.require(
                MailFormat.isAddress(input.address), "address", code: "mail", "A plain mail address is wanted.",
                zh: "应为普通邮箱地址。")
        case .sink: break
        }
        try check.finish()
        let key = try Idempotency.read(request, context, body: body.bytes)
        guard let row = try await database.query(OfficeStore.recipient(input.recipient), scope: context.scope).first
        else {
            throw Problem.invalid("recipient_id", code: "unknown", "There is no such recipient.", zh: "没有该联系人。")
        }
        let id = sources.randomUUID(sources.now())
        let secret = kind == .webhook ? newSecret() : nil
        let answer = try StoredResponse(
            .created, headers: .version(1),
            json: JSONValue.object([
                "id": .string(Identifier<Message>(id).description), "secret": secret.map(JSONValue.string) ?? .null,
            ]))
        return try await Idempotency.once(key, using: database) {
            _ = try await database.segment(
                [
                    try key.claim(answer),
                    OfficeStore.insertChannel(
                        id, recipient: input.recipient, district: try row.decode("district_id"), kind: kind,
                        address: try channels.keys.seal(input.address), secret: try secret.map(channels.keys.seal)),
                ], scope: context.scope)
            return answer.response
        }
    }

    private struct ChannelChange: Decodable {
        var active: Bool?
        var rotates: Bool?

        enum CodingKeys: String, CodingKey {
            case active
            case rotates = "rotate_secret"
        }
    }

    private func change(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let id: Identifier<Message> = try context.pathID("id")
        let body = try await request.jsonBody(limit: 4_096)
        let input: ChannelChange = try body.decode()
        let version = try request.ifMatch()
        guard request.headers[.idempotencyKey] != nil else {
            return try await change(id, input, version: version, key: nil, scope: context.scope)
        }
        let key = try Idempotency.read(request, context, body: body.bytes)
        return try await Idempotency.once(key, using: database) {
            try await change(id, input, version: version, key: key, scope: context.scope)
        }
    }

    private func change(
        _ id: Identifier<Message>, _ input: ChannelChange, version: Int, key: IdempotencyKey?, scope: DistrictScope
    ) async throws -> Response {
        let new = newSecret()
        let answer: StoredResponse = try await database.transaction(scope: scope) { transaction in
            let answers = try await transaction.send((key.map { [$0.claim] } ?? []) + [ChannelStore.lock(id.rawValue)])
            guard let row = answers[answers.count - 1].first else { throw Problem.notFound }
            let current = try row.decode("version", as: Int.self)
            guard current == version else { throw Problem.preconditionFailed(current: current) }
            let isWebhook = try row.decode("kind", as: ChannelKind.self) == .webhook
            let secret = input.rotates == true && isWebhook ? new : nil
            if secret != nil, let until = try row.decode("rotating_until", as: Timestamp?.self) {
                throw Problem.conflict(
                    code: "rotating", "The secret before signs too until \(until); it can be rotated again after that.",
                    zh: "旧密钥在 \(until) 之前仍然有效，此后方可再次更换。")
            }
            let answer = try StoredResponse(
                .ok, headers: .version(current + 1),
                json: JSONValue.object([
                    "id": .string(id.description), "secret": secret.map(JSONValue.string) ?? .null,
                ]))
            var writes = [
                ChannelStore.change(
                    id.rawValue, secret: try secret.map(channels.keys.seal), active: input.active)
            ]
            if input.active == false { writes.append(ChannelStore.takeBack(from: id.rawValue)) }
            if let key { writes.append(try key.complete(answer)) }
            try await transaction.commit(writes)
            return answer
        }
        return answer.response
    }

    private struct Nothing: Decodable {}

    private func test(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.admin)
        let id: Identifier<Message> = try context.pathID("id")
        let body = try await request.jsonBody(limit: 4_096)
        let _: Nothing = try body.decode()
        let key = try Idempotency.read(request, context, body: body.bytes)
        if let replay = try await Idempotency.replay(for: key, using: database) { return replay }
        guard let row = try await database.query(OfficeStore.channel(id.rawValue), scope: context.scope).first else {
            throw Problem.notFound
        }
        let now = sources.now()
        let message = Message(
            id: sources.randomUUID(now), createdAt: now, subject: "Sluice 水闸：通道测试 / channel test",
            text: "这是一条测试消息，无需处理。\nThis is a test; there is nothing to do.",
            payload: Array(#"{"type":"notice.test","timestamp":"\#(now)","data":{}}"#.utf8))
        let secrets = [
            try row.decode("secret", as: [UInt8]?.self), try row.decode("previous_secret", as: [UInt8]?.self),
        ].compactMap(\.self)
        let outcome = await channels.send(
            message, kind: try row.decode("kind"), address: try row.decode("address"), secrets: secrets, now: now)
        let answer = try StoredResponse(.ok, json: ["outcome": outcome.word, "detail": outcome.detail])
        return try await Idempotency.once(key, using: database) {
            _ = try await database.segment([try key.claim(answer)], scope: context.scope)
            return answer.response
        }
    }
}
