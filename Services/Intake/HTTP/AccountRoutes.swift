import HTTPTypes
import Hummingbird
import Model
import Postgres
import ServiceKit

/// `/v1/accounts`: who may sign in. For administrators of the whole city.
struct AccountRoutes: Sendable {
    let manage: ManageAccounts
    let keyring: KeyringLoader

    private struct NewAccount: Decodable {
        var login: String
        var displayName: String
        var roles: [Role]
        var districts: [District.ID]
        var active: Bool?
        var password: String?
        var externalID: String?

        private enum CodingKeys: String, CodingKey {
            case login, roles, districts, active, password
            case displayName = "display_name"
            case externalID = "external_id"
        }
    }

    private struct ChangedAccount: Decodable {
        var displayName: String?
        var roles: [Role]?
        var districts: [District.ID]?
        var active: Bool?
        var password: String?
        var externalID: String?

        private enum CodingKeys: String, CodingKey {
            case roles, districts, active, password
            case displayName = "display_name"
            case externalID = "external_id"
        }
    }

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, AccountDescriptions.list) { request, context in
            try requireAdministrator(context)
            let page = try request.page("accounts", .text)
            let accounts = try await manage.store.list(after: page.cursor?.text(0), rows: page.rowsToRead)
            return try Response.json(
                .ok,
                Page(accounts.map(AccountAnswer.init), limit: page.limit) { Cursor("accounts", .text($0.login)) })
        }
        router.add(&document, AccountDescriptions.post) { request, context in try await post(request, context) }
        router.add(&document, AccountDescriptions.get) { _, context in
            try requireAdministrator(context)
            return try Self.show(try await find(context))
        }
        router.add(&document, AccountDescriptions.patch) { request, context in try await patch(request, context) }
    }

    private func post(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try requireAdministrator(context)
        let body = try await request.jsonBody(limit: 16 << 10)
        let fingerprint = try keyring.get().hash(body.bytes, for: .requestBody)
        let key = try Idempotency.read(request, context, body: fingerprint)
        let database = manage.store.database
        if let response = try await Idempotency.replay(for: key, using: database) { return response }
        let input = try body.decode(NewAccount.self)
        let (account, statements) = try await manage.creation(
            login: input.login,
            AccountChange(
                displayName: input.displayName, roles: input.roles, districts: input.districts,
                isActive: input.active, password: input.password, externalID: input.externalID),
            actor: "account:\(claims.sub)", id: nil, traceparent: context.traceparent)
        let answer = try StoredResponse(
            .created, headers: .version(account.version), json: AccountAnswer(account))
        return try await Idempotency.once(key, using: database) {
            try await ManageAccounts.namingTaken {
                _ = try await database.segment([try key.claim(answer)] + statements, scope: .city)
            }
            return answer.response
        }
    }

    private func patch(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try requireAdministrator(context)
        let input = try await request.json(ChangedAccount.self, limit: 16 << 10)
        let account = try await find(context)
        try request.requireMatch(account.version)
        let changed = try await manage.change(
            account,
            AccountChange(
                displayName: input.displayName, roles: input.roles, districts: input.districts,
                isActive: input.active, password: input.password, externalID: input.externalID),
            actor: "account:\(claims.sub)", traceparent: context.traceparent)
        return try Self.show(changed)
    }

    private func find(_ context: APIContext) async throws -> StoredAccount {
        guard let account = try await manage.store.find(try context.pathID("id", Account.self)) else {
            throw Problem.notFound("The account", zh: "该账号")
        }
        return account
    }

    /// An administrator of one district could give themselves the city by an account; so this asks for the city.
    @discardableResult
    private func requireAdministrator(_ context: APIContext) throws -> Claims {
        let claims = try context.require(.admin)
        guard claims.districts == .city else { throw Problem.forbidden }
        return claims
    }

    private static func show(_ account: StoredAccount) throws -> Response {
        try Response.json(.ok, headers: .version(account.version), AccountAnswer(account))
    }
}

/// An account as administrators see it; never its password.
struct AccountAnswer: Encodable, Sendable {
    var id: Account.ID
    var login: String
    var displayName: String
    var roles: [Role]
    var districts: [District.ID]
    var active: Bool
    var hasPassword: Bool
    var externalID: String?
    var version: Int
    var createdAt: Timestamp
    var changedAt: Timestamp

    init(_ account: StoredAccount) {
        id = account.id
        login = account.login
        displayName = account.displayName
        roles = account.roles
        districts = account.districts
        active = account.isActive
        hasPassword = account.hasPassword
        externalID = account.externalID
        version = account.version
        createdAt = account.createdAt
        changedAt = account.changedAt
    }

    private enum CodingKeys: String, CodingKey {
        case id, login, roles, districts, active, version
        case displayName = "display_name"
        case hasPassword = "has_password"
        case externalID = "external_id"
        case createdAt = "created_at"
        case changedAt = "changed_at"
    }
}

enum AccountDescriptions {
    static let list = Operation(
        .get, "/v1/accounts", "List accounts", access: .roles(.admin), answers: [.ok(.page(of: account))], paged: true)

    static let post = Operation(
        .post, "/v1/accounts", "Make an account", access: .roles(.admin),
        body: .json(
            .object(
                [.init("login", .string(pattern: "^[a-z0-9][a-z0-9._@-]{1,63}$"))]
                    + input(required: ["display_name", "roles", "districts"]))),
        answers: [.created(account, versioned: true)], idempotent: true)

    static let get = Operation(
        .get, "/v1/accounts/{id}", "Show an account", access: .roles(.admin),
        answers: [.ok(account, versioned: true)])

    static let patch = Operation(
        .patch, "/v1/accounts/{id}", "Change an account", access: .roles(.admin),
        description: """
            A change of roles, districts, password, external identity or activity ends the account's sessions, and a \
            sign-in that is under way.
            """,
        body: .json(.object(input(required: []))), answers: [.ok(account, versioned: true)], conditional: true)

    private static func input(required: Set<String>) -> [Schema.Field] {
        [
            .init("display_name", ReportDescriptions.plain(1...80), required: required.contains("display_name")),
            .init(
                "roles", .array(of: .words(ManageAccounts.roles.map(\.rawValue)), minItems: 1, maxItems: 6),
                required: required.contains("roles")),
            .init(
                "districts", .array(of: .uuid, maxItems: 64), required: required.contains("districts"),
                "Ids; the city's own id is the whole city."),
            .init("active", .boolean, required: false),
            .init("password", ReportDescriptions.plain(ManageAccounts.passwordLength), required: false),
            .init(
                "external_id", ReportDescriptions.plain(3...400), required: false,
                "Issuer and subject with a space between."),
        ]
    }

    private static let account = Schema.object([
        .init("id", .uuid), .init("login", .string()), .init("display_name", .string()),
        .init("roles", .array(of: .string())), .init("districts", .array(of: .uuid)), .init("active", .boolean),
        .init("has_password", .boolean), .init("external_id", .string(), required: false),
        .init("version", .integer(minimum: 1)), .init("created_at", .time), .init("changed_at", .time),
    ])
}
