import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Postgres
import ServiceKit

/// `/v1/session`: sign-in, refresh, sign-out. Programs get their tokens in the body; browsers in cookies that no script
/// can read.
struct SessionRoutes: Sendable {
    let signIn: SignIn
    let limits: SenderLimits
    /// Requests' connections.
    let database: PostgresClient

    private struct SignInInput: Decodable {
        var login: String?
        var password: String?
        /// Of an external issuer, instead of login and password.
        var idToken: String?
        /// Tokens go into cookies.
        var cookie: Bool?

        private enum CodingKeys: String, CodingKey {
            case login, password, cookie
            case idToken = "id_token"
        }
    }

    private struct RefreshInput: Decodable {
        var refreshToken: String?

        private enum CodingKeys: String, CodingKey { case refreshToken = "refresh_token" }
    }

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, SessionDescriptions.post) { request, context in try await post(request, context) }
        router.add(&document, SessionDescriptions.refresh) { request, context in
            try await refresh(request, context)
        }
        router.add(&document, SessionDescriptions.get) { _, context in
            try Response.json(.ok, SessionAnswer(try context.requireAccount()))
        }
        router.add(&document, SessionDescriptions.delete) { request, context in
            let claims = try context.requireAccount()
            try await signIn.signOut(claims, everywhere: try request.query().bool("everywhere") ?? false)
            return Response(status: .noContent, headers: SessionCookies.cleared)
        }
    }

    private func post(_ request: Request, _ context: APIContext) async throws -> Response {
        try limits.signIn(context, now: signIn.sources.now())
        let body = try await request.jsonBody(limit: 16 << 10)
        // The fingerprint is kept for days: under a key, so that no password can be tried against it.
        let fingerprint = try signIn.keyring.get().hash(body.bytes, for: .requestBody)
        let key = try Idempotency.read(request, context, body: fingerprint)
        if let response = try await Idempotency.replay(for: key, using: database) { return response }
        let input = try body.decode(SignInInput.self)
        let signer = try signIn.keys.signer()
        let account = try await authenticate(input, context)
        let (statement, tokens) = try signIn.begin(account, device: context.device, signer: signer)
        let answer = try Self.answer(tokens, cookie: input.cookie ?? false, status: .created)
        return try await Idempotency.once(key, using: database) {
            try await signIn.write(statement, after: try key.claim(answer))
            return answer.response
        }
    }

    private func authenticate(_ input: SignInInput, _ context: APIContext) async throws -> StoredAccount {
        var check = Validation()
        if let idToken = input.idToken {
            check.text("id_token", idToken, 1...8_192)
            check.require(
                input.login == nil && input.password == nil, "id_token", code: "not_allowed",
                "Either id_token, or login and password.", zh: "id_token 与账号密码只能二选一。")
            try check.finish()
            return try await signIn.authenticate(idToken: idToken)
        }
        check.text("login", input.login ?? "", 1...64)
        check.text("password", input.password ?? "", 1...128)
        try check.finish()
        return try await signIn.authenticate(
            login: input.login ?? "", password: input.password ?? "", sender: Sender(context))
    }

    private func refresh(_ request: Request, _ context: APIContext) async throws -> Response {
        try limits.refresh(context, now: signIn.sources.now())
        let input = try await request.json(RefreshInput.self, limit: 4 << 10)
        if let token = input.refreshToken {
            let tokens = try await signIn.refresh(token, device: context.device)
            return try Self.answer(tokens, cookie: false, status: .ok).response
        }
        guard let token = SessionCookies.refreshToken(request) else {
            throw Problem.invalidToken
        }
        // The cookie is SameSite=Strict and the body must be JSON: no other site's form can have sent this.
        let tokens = try await signIn.refresh(token, device: context.device)
        return try Self.answer(tokens, cookie: true, status: .ok).response
    }

    private static func answer(
        _ tokens: IssuedTokens, cookie: Bool, status: HTTPResponse.Status
    ) throws -> StoredResponse {
        var body = SessionAnswer(tokens.claims)
        body.sessionExpiresAt = tokens.sessionExpiresAt
        var headers: HTTPFields = [.cacheControl: "no-store"]
        if cookie {
            SessionCookies.set(tokens, in: &headers)
        } else {
            body.accessToken = tokens.accessToken
            body.refreshToken = tokens.refreshToken
            body.tokenType = "Bearer"
        }
        return try StoredResponse(status, headers: headers, json: body)
    }
}

/// Who is signed in, and the tokens of a new sign-in.
struct SessionAnswer: Encodable, Sendable {
    var account: Account.ID
    var session: Session.ID
    var name: String
    var roles: [String]
    var districts: [String]
    var expiresAt: Timestamp
    var sessionExpiresAt: Timestamp?
    var accessToken: String?
    var refreshToken: String?
    var tokenType: String?

    init(_ claims: Claims) {
        account = claims.sub
        session = claims.sid
        name = claims.name
        roles = claims.roles.map(\.rawValue).sorted()
        switch claims.districts {
        case .all, .city: districts = ["*"]
        case .districts(let ids): districts = ids.map { District.ID($0).description }
        case .none: districts = []
        }
        expiresAt = claims.expiresAt
    }

    private enum CodingKeys: String, CodingKey {
        case account, session, name, roles, districts
        case expiresAt = "expires_at"
        case sessionExpiresAt = "session_expires_at"
        case accessToken = "access_token"
        case refreshToken = "refresh_token"
        case tokenType = "token_type"
    }
}

/// The two cookies of a browser: host-only, not for scripts, not from other sites.
enum SessionCookies {
    static let refreshName = "__Host-sluice-refresh"
    private static let attributes = "Path=/; Secure; HttpOnly; SameSite=Strict"

    static func set(_ tokens: IssuedTokens, in headers: inout HTTPFields) {
        let access = Int((tokens.claims.expiresAt - tokens.claims.issuedAt).inSeconds)
        let session = Int((tokens.sessionExpiresAt - tokens.claims.issuedAt).inSeconds)
        headers.append(cookie("\(Token.cookie)=\(tokens.accessToken); Max-Age=\(access); \(attributes)"))
        headers.append(cookie("\(refreshName)=\(tokens.refreshToken); Max-Age=\(session); \(attributes)"))
    }

    static var cleared: HTTPFields {
        var headers = HTTPFields()
        headers.append(cookie("\(Token.cookie)=; Max-Age=0; \(attributes)"))
        headers.append(cookie("\(refreshName)=; Max-Age=0; \(attributes)"))
        return headers
    }

    static func refreshToken(_ request: Request) -> String? {
        for header in request.headers[values: .cookie] {
            for pair in header.split(separator: ";") {
                let sides = pair.split(separator: "=", maxSplits: 1)
                if sides.count == 2, String(sides[0]).trimmingSpaces() == refreshName {
                    return String(sides[1]).trimmingSpaces()
                }
            }
        }
        return nil
    }

    private static func cookie(_ value: String) -> HTTPField { HTTPField(name: .setCookie, value: value) }
}

enum SessionDescriptions {
    static let post = Operation(
        .post, "/v1/session", "Sign in", access: .anyone,
        description: "With login and password, or an external issuer's id_token. 429 with Retry-After after failures.",
        parameters: [ReportDescriptions.device],
        body: .json(
            .oneOf([
                .object([
                    .init("login", ReportDescriptions.plain(1...64)),
                    .init("password", ReportDescriptions.plain(1...128)), cookie,
                ]), .object([.init("id_token", .string(minLength: 1, maxLength: 8_192)), cookie]),
            ])), answers: [.created(answer, "Signed in"), refused], idempotent: true)

    private static let cookie = Schema.Field(
        "cookie", .boolean, required: false, "True in browsers: tokens go into cookies.")

    static let refresh = Operation(
        .post, "/v1/session/refresh", "Get new tokens", access: .anyone,
        description: """
            Uses the refresh token up. A second use ends the session, unless the answer may have been lost: the successor \
            was never used, and it is the device that signed in (or 30 s have not passed).
            """,
        parameters: [ReportDescriptions.device],
        body: .json(.object([.init("refresh_token", .text(1...200), required: false)])),
        answers: [.ok(answer), refused])

    static let get = Operation(
        .get, "/v1/session", "Who is signed in", access: .signedIn, answers: [.ok(answer)])

    static let delete = Operation(
        .delete, "/v1/session", "Sign out", access: .signedIn,
        parameters: [.query("everywhere", .boolean, "On all devices.")], answers: [.noContent])

    /// Of routes that anyone may call, and that know who does all the same.
    static let refused = Operation.Answer(
        .unauthorized, "The token, or what was given to get one, is not accepted.",
        .of((Problem.contentType, .reference("Problem"))))

    private static let answer = Schema.object([
        .init("account", .uuid), .init("session", .uuid), .init("name", .string()),
        .init("roles", .array(of: .string())), .init("districts", .array(of: .string()), "Ids, or * for the city."),
        .init("expires_at", .time), .init("session_expires_at", .time, required: false),
        .init("access_token", .string(), required: false), .init("refresh_token", .string(), required: false),
        .init("token_type", .string(), required: false),
    ])
}
