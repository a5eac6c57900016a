import Foundation
import Model
import Rules
import Testing

@testable import IntakeService
@testable import ServiceKit

@Suite("Sign-in", .timeLimit(.minutes(5)))
struct SessionTests {
    private static func login() -> String { "p-\(UUID().uuidString.lowercased().prefix(10))" }

    struct Who: Decodable {
        var roles: [String]
        var districts: [String]
        var name: String
    }

    @Test("a token says who its bearer is, in which districts, until sign-out")
    func whole() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        try await intake.account(login, [.dispatcher, .manager], districts: [try #require(.init(SmallCity.first))])
        let token = try #require(try await intake.signIn(login).accessToken)
        let headers = ["Authorization": "Bearer \(token)"]
        let answer = try await intake.send(.get, "/v1/session", headers: headers)
        let who = try answer.json(Who.self)
        #expect(who.roles == ["dispatcher", "manager"] && who.districts == [SmallCity.first] && who.name == login)
        #expect(try await intake.send(.delete, "/v1/session", headers: headers).status == 204)
        await intake.context.verifier.refresh()
        #expect(try await intake.send(.get, "/v1/session", headers: headers).status == 401)
    }

    @Test("wrong names, wrong passwords and disabled accounts get one answer")
    func refusals() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        let manage = intake.manage
        try await intake.account(login, [.office])
        let disabled = Self.login()
        try await intake.account(disabled, [.office])
        try await manage.change(login: disabled, AccountChange(isActive: false), actor: "test")
        for (name, password) in [
            (login, "wrong password"), (Self.login(), RunningIntake.password), (disabled, RunningIntake.password),
            ("sentinel", "x"),
        ] {
            let answer = try await intake.post("/v1/session", ["login": name, "password": password])
            #expect(answer.status == 401 && answer.problemCode == "sign_in_refused")
        }
        #expect(try await intake.post("/v1/session", ["login": login]).blamed == ["password"])
        #expect(try await intake.post("/v1/session", ["id_token": "a.b.c"]).status == 401)
    }

    @Test("while an account's name must wait, even the right password is not looked at")
    func waiting() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        try await intake.account(login, [.office])
        let bucket = try intake.service.keyring.get().hash("account " + login, for: .login)
        let sessions = SessionStore(database: intake.context.background)
        let now = intake.context.sources.now()
        for _ in 0..<6 { _ = try await sessions.charge(bucket, delay: .account, now: now + .seconds(600)) }
        let answer = try await intake.post("/v1/session", ["login": login, "password": RunningIntake.password])
        #expect(answer.status == 429)
        #expect((answer.headers["retry-after"]?.first.flatMap(Int.init) ?? 0) > 60)
    }

    @Test("an attempt counts before it is judged: many at once are not one")
    func charging() async throws {
        let intake = try await RunningIntake.shared()
        let sessions = SessionStore(database: intake.context.background)
        let bucket = [UInt8](UUID().uuidString.utf8)
        let now = intake.context.sources.now()
        let admitted = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<30 {
                group.addTask { try await sessions.charge(bucket, delay: .account, now: now) == nil }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        // Three are free and the fourth begins the wait.
        #expect((1...4).contains(admitted))
        #expect(try await sessions.charge(bucket, delay: .account, now: now + .seconds(3_600)) == nil)
    }

    @Test("a refresh token works once; a late second use ends the session and its access tokens")
    func reuse() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        let device = RunningIntake.device()
        try await intake.account(login, [.crew])
        let first = try await intake.signIn(login, device: device)
        func refresh(_ token: String?, device: String = device) async throws -> RunningIntake.Answer {
            try await intake.post("/v1/session/refresh", ["refresh_token": token ?? ""], device: device)
        }
        #expect(try await refresh(first.refreshToken, device: RunningIntake.device()).status == 401)
        let second = try await refresh(first.refreshToken).json(RunningIntake.Tokens.self)
        // The answer was lost: the same token again is forgiven while its successor is unused …
        let third = try await refresh(first.refreshToken).json(RunningIntake.Tokens.self)
        #expect(third.refreshToken != second.refreshToken)
        // … and the successor that went astray is then worth nothing but an alarm.
        let fourth = try await refresh(third.refreshToken).json(RunningIntake.Tokens.self)
        #expect(try await refresh(first.refreshToken).status == 401)
        #expect(try await refresh(fourth.refreshToken).status == 401)
        await intake.context.verifier.refresh()
        let access = try #require(fourth.accessToken)
        #expect(
            try await intake.send(.get, "/v1/session", headers: ["Authorization": "Bearer \(access)"]).status == 401)
    }

    @Test("a browser gets cookies that no script can read, and no token in the body")
    func cookies() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        try await intake.account(login, [.manager])
        let answer = try await intake.post(
            "/v1/session", ["login": login, "password": RunningIntake.password, "cookie": true])
        #expect(answer.status == 201)
        let tokens = try answer.json(RunningIntake.Tokens.self)
        #expect(tokens.accessToken == nil && tokens.refreshToken == nil)
        let cookies = try #require(answer.headers["set-cookie"])
        #expect(cookies.count == 2)
        for cookie in cookies {
            #expect(cookie.hasPrefix("__Host-sluice"))
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] { #expect(cookie.contains(attribute)) }
        }
        let sent = cookies.compactMap { $0.split(separator: ";").first }.joined(separator: "; ")
        #expect(try await intake.send(.get, "/v1/session", headers: ["Cookie": sent]).status == 200)
        // From another site the cookie is worth nothing where it could do harm.
        let foreign = try await intake.send(
            .delete, "/v1/session", headers: ["Cookie": sent, "Origin": "http://elsewhere.example"])
        #expect(foreign.status == 403)
    }

    @Test("the same sign-in again gives the same tokens; the table shows neither token nor password")
    func replay() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        try await intake.account(login, [.manager])
        let device = RunningIntake.device()
        let key = UUID().uuidString
        let body = ["login": login, "password": RunningIntake.password]
        let first = try await intake.post("/v1/session", body, device: device, key: key)
        let second = try await intake.post("/v1/session", body, device: device, key: key)
        #expect(first.bytes == second.bytes)
        let other = try await intake.post(
            "/v1/session", ["login": login, "password": "other"], device: device, key: key)
        #expect(other.status == 422)
        let digest = try await intake.rows(
            "SELECT 1 FROM intake.idempotency WHERE fingerprint = sha256(convert_to($1, 'UTF8'))",
            [String(decoding: try JSONSerialization.data(withJSONObject: body, options: .sortedKeys), as: UTF8.self)])
        #expect(digest.isEmpty)
    }

    @Test("signing keys are wrapped, and the next one is published before it signs")
    func keys() async throws {
        let intake = try await RunningIntake.shared()
        let present = intake.context.sources.now()
        let later = SigningKeys(
            issuer: "x", master: intake.service.master, database: intake.context.background,
            now: { present + SigningKeys.signingPeriod - .seconds(3_600) }, logger: intake.context.logger)
        try await later.refresh()
        let rows = try await intake.rows(
            """
            SELECT count(*), bool_and(length(wrapped_private) > 32), bool_and(not_before - created_at IN ('0', '1 hour'))
            FROM intake.signing_key WHERE kid <> 'sentinel'
            """)
        #expect(rows == [["2", "t", "t"]])
        try await later.refresh()
        #expect(try await intake.rows("SELECT count(*) FROM intake.signing_key WHERE kid <> 'sentinel'") == [["2"]])
        let other = try #require(MasterKey([UInt8](repeating: 4, count: 32)))
        await #expect(throws: KeyringError.self) {
            try await Keyring.load(master: other, database: intake.context.background)
        }
    }
}

@Suite("Accounts", .timeLimit(.minutes(5)))
struct AccountTests {
    private static func administrator(_ intake: RunningIntake, districts: [District.ID] = [District.city]) async throws
        -> String
    {
        let login = "a-\(UUID().uuidString.lowercased().prefix(10))"
        try await intake.account(login, [.admin], districts: districts)
        return try #require(try await intake.signIn(login).accessToken)
    }

    struct Shown: Decodable {
        var id: String
        var login: String
        var version: Int
        var active: Bool
    }

    @Test("made, shown, changed under its version, and recorded without secrets")
    func whole() async throws {
        let intake = try await RunningIntake.shared()
        let token = try await Self.administrator(intake)
        let headers = ["Authorization": "Bearer \(token)"]
        let login = "n-\(UUID().uuidString.lowercased().prefix(10))"
        let input: [String: any Sendable] = [
            "login": login, "display_name": "新人", "roles": ["office"], "districts": [SmallCity.first],
            "password": "a long enough password",
        ]
        let made = try await intake.post("/v1/accounts", input, token: token)
        #expect(made.status == 201 && made.headers["etag"] == ["\"1\""])
        let account = try made.json(Shown.self)
        let twice = try await intake.post("/v1/accounts", input, token: token)
        #expect(twice.status == 409 && twice.blamed == ["login"])
        var person = input
        person["external_id"] = "https://issuer.example \(login)"
        for (name, status) in [("\(login).1", 201), ("\(login).2", 409)] {
            person["login"] = name
            #expect(try await intake.post("/v1/accounts", person, token: token).status == status)
        }
        let path = "/v1/accounts/\(account.id)"
        func patch(_ json: String, match: String?) async throws -> RunningIntake.Answer {
            var headers = headers
            headers["Content-Type"] = "application/json"
            headers["If-Match"] = match
            return try await intake.send(.patch, path, body: Data(json.utf8), headers: headers)
        }
        #expect(try await patch(#"{"active":false}"#, match: nil).status == 428)
        #expect(try await patch(#"{"active":false}"#, match: "\"7\"").status == 412)
        #expect(try await patch(#"{"roles":["resident"]}"#, match: "\"1\"").blamed == ["roles"])
        let changed = try await patch(#"{"active":false}"#, match: "\"1\"")
        #expect(try changed.status == 200 && changed.json(Shown.self).version == 2)
        #expect(try await intake.send(.get, path, headers: headers).headers["etag"] == ["\"2\""])
        let record = try await intake.rows(
            "SELECT type, version, actor LIKE 'account:%', body::text FROM intake.history WHERE aggregate_id = $1 ORDER BY version",
            [account.id])
        #expect(record.map { $0[0] } == ["account.created.v1", "account.deactivated.v1"])
        #expect(record.allSatisfy { $0[2] == "t" && $0[3]?.contains("scrypt") == false })
        let list = try await intake.send(.get, "/v1/accounts?limit=1", headers: headers)
        #expect(list.status == 200)
        #expect(try await intake.send(.get, "/v1/accounts?cursor=nonsense", headers: headers).blamed == ["cursor"])
    }

    @Test("only administrators of the whole city")
    func rights() async throws {
        let intake = try await RunningIntake.shared()
        #expect(try await intake.send(.get, "/v1/accounts").status == 401)
        let login = "m-\(UUID().uuidString.lowercased().prefix(10))"
        try await intake.account(login, [.manager])
        let manager = try #require(try await intake.signIn(login).accessToken)
        #expect(
            try await intake.send(.get, "/v1/accounts", headers: ["Authorization": "Bearer \(manager)"]).status == 403)
        let local = try await Self.administrator(intake, districts: [try #require(.init(SmallCity.first))])
        #expect(
            try await intake.send(.get, "/v1/accounts", headers: ["Authorization": "Bearer \(local)"]).status == 403)
    }

    @Test("what is wrong with a new account is told all at once")
    func bad() async throws {
        let intake = try await RunningIntake.shared()
        let token = try await Self.administrator(intake)
        let answer = try await intake.post(
            "/v1/accounts",
            [
                "login": "A B", "display_name": "", "roles": ["crew", "crew"], "districts": [String](),
                "password": "short",
            ],
            token: token)
        #expect(answer.status == 422)
        #expect(answer.blamed == ["login", "display_name", "roles", "password"])
    }

    @Test("a password that was changed ends the account's sessions")
    func sessionsEnd() async throws {
        let intake = try await RunningIntake.shared()
        let login = "s-\(UUID().uuidString.lowercased().prefix(10))"
        try await intake.account(login, [.office])
        let token = try #require(try await intake.signIn(login).accessToken)
        try await intake.manage.change(login: login, AccountChange(password: "another long password"), actor: "test")
        await intake.context.verifier.refresh()
        #expect(try await intake.send(.get, "/v1/session", headers: ["Authorization": "Bearer \(token)"]).status == 401)
    }
}
