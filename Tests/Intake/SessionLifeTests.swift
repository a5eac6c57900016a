import Foundation
import HTTPTypes
import Model
import Postgres
import Testing

@testable import IntakeService
@testable import ServiceKit

/// What a session and its tokens live through: lost answers, servers that are away, changes of their account.
@Suite("A session's life", .timeLimit(.minutes(5)))
struct SessionLifeTests {
    private static func login() -> String { "l-\(UUID().uuidString.lowercased().prefix(10))" }

    /// The service's own sign-in, with a part exchanged.
    private static func signIn(
        _ intake: RunningIntake, passwords: PasswordThread = PasswordThread(capacity: 8), keys: SigningKeys? = nil,
        sources: Sources? = nil
    ) -> SignIn {
        SignIn(
            accounts: AccountStore(database: intake.context.http),
            sessions: SessionStore(database: intake.context.http), passwords: passwords,
            keys: keys ?? intake.service.keys, keyring: intake.service.keyring, external: nil,
            sources: sources ?? intake.context.sources, logger: intake.context.logger)
    }

    /// Each test has a range of addresses to itself.
    private static func sender(_ address: String) -> Sender {
        Sender(claims: nil, device: nil, address: address, traceparent: "")
    }

    @Test("a script's token that was taken back stays void for as long as it would have lived")
    func scriptToken() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        let account = try await intake.account(login, [.admin])
        _ = try await intake.signIn(login)
        let script = ScriptToken(
            database: intake.context.background, keys: intake.service.keys, sources: intake.context.sources)
        let token = try await script.make(for: account, lifetime: .seconds(3_600))
        let headers = ["Authorization": "Bearer \(token)"]
        #expect(try await intake.send(.get, "/v1/session", headers: headers).status == 200)
        try await intake.manage.change(login: login, AccountChange(isActive: false), actor: "test")
        let rows = try await intake.rows(
            """
            SELECT s.device_hash IS NULL, r.expires_at >= s.expires_at
            FROM intake.revocation r JOIN intake.session s USING (session_id)
            WHERE s.account_id = $1
            ORDER BY 1
            """, [account.id.description])
        // A person's tokens live ten minutes; what is kept for longer would only be read in vain.
        #expect(rows == [["f", "f"], ["t", "t"]])
        await intake.context.verifier.refresh()
        #expect(try await intake.send(.get, "/v1/session", headers: headers).status == 401)
    }

    @Test("while nothing can be signed a refresh is told to come again, and its token stays unused")
    func withoutKeys() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        let device = RunningIntake.device()
        try await intake.account(login, [.crew])
        let token = try #require(try await intake.signIn(login, device: device).refreshToken)
        let empty = SigningKeys(
            issuer: "x", master: intake.service.master, database: intake.context.background,
            now: intake.context.sources.now, logger: intake.context.logger)
        #expect(!empty.isReady)
        let signIn = Self.signIn(intake, keys: empty)
        let problem = await #expect(throws: Problem.self) {
            try await signIn.refresh(token, device: DeviceKey(device))
        }
        #expect(problem?.status == .serviceUnavailable && problem?.headers[.retryAfter] == "1")
        let hash = try intake.service.keyring.get().hash(token, for: .refreshToken)
        let hex = hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let used = try await intake.rows(
            "SELECT used_at FROM intake.refresh_token WHERE token_hash = decode($1, 'hex')", [hex])
        #expect(used == [[nil]])
        let answer = try await intake.post("/v1/session/refresh", ["refresh_token": token], device: device)
        #expect(answer.status == 200)
    }

    @Test(
        "a token whose successor was never used works again late, from its own device; a copy is an alarm",
        arguments: ["device", nil])
    func lostAnswer(device: String?) async throws {
        let intake = try await RunningIntake.shared()
        let account = try await intake.account(Self.login(), [.crew])
        let sessions = SessionStore(database: intake.context.http)
        let now = intake.context.sources.now()
        let session = StoredSession(
            id: Session.ID(UUID()), accountID: account.id, deviceHash: device, expiresAt: now + .seconds(86_400))
        let tokens = (0..<5).map { _ in intake.context.sources.randomBytes(32) }
        let begun = try await sessions.database.query(
            SessionStore.begin(session, at: account.version, refreshHash: tokens[0]))
        #expect(begun.count == 1)
        func use(_ token: Int, next: Int, after seconds: Int) async throws -> String {
            switch try await sessions.refresh(
                tokens[token], deviceHash: device, next: tokens[next], now: now + .seconds(seconds))
            {
            case .renewed: "renewed"
            case .refused: "refused"
            case .reused: "reused"
            }
        }
        #expect(try await use(0, next: 1, after: 0) == "renewed")
        // No signal for longer than the grace of a session that no device holds.
        guard device != nil else {
            #expect(try await use(0, next: 2, after: 31) == "reused")
            return
        }
        #expect(try await use(0, next: 2, after: 31) == "renewed")
        #expect(try await use(2, next: 3, after: 40) == "renewed")
        // The successor is in use: whoever shows the first one now has a copy.
        #expect(try await use(0, next: 4, after: 41) == "reused")
        #expect(try await use(3, next: 4, after: 42) == "refused")
    }

    @Test("the successor that went astray is worth nothing but an alarm, however soon it shows up")
    func astray() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        let device = RunningIntake.device()
        try await intake.account(login, [.crew])
        func refresh(_ token: String?) async throws -> RunningIntake.Answer {
            try await intake.post("/v1/session/refresh", ["refresh_token": token ?? ""], device: device)
        }
        let first = try await intake.signIn(login, device: device)
        let astray = try await refresh(first.refreshToken).json(RunningIntake.Tokens.self)
        let good = try await refresh(first.refreshToken).json(RunningIntake.Tokens.self)
        #expect(try await refresh(astray.refreshToken).status == 401)
        #expect(try await refresh(good.refreshToken).status == 401)
    }

    @Test("a sign-in under way does not outlive a change of its account")
    func underWay() async throws {
        let intake = try await RunningIntake.shared()
        let signIn = Self.signIn(intake)
        for change in [
            AccountChange(password: "another long password"), AccountChange(roles: [.manager]),
            AccountChange(isActive: false), AccountChange(externalID: "https://issuer.example \(UUID())"),
        ] {
            let login = Self.login()
            try await intake.account(login, [.office])
            let asked = try await signIn.authenticate(
                login: login, password: RunningIntake.password, sender: Self.sender("203.0.113.7"))
            try await intake.manage.change(login: login, change, actor: "test")
            let begun = try signIn.begin(asked, device: nil, signer: intake.service.keys.signer())
            let problem = await #expect(throws: Problem.self) {
                try await signIn.write(begun.statement, after: "SELECT 1")
            }
            #expect(problem == SignIn.refused)
            let sessions = try await intake.rows(
                "SELECT count(*) FROM intake.session WHERE account_id = $1", [asked.id.description])
            #expect(sessions == [["0"]])
        }
    }

    @Test("another external identity ends the sessions of the one before")
    func externalIdentity() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        try await intake.account(login, [.office])
        let token = try #require(try await intake.signIn(login).accessToken)
        try await intake.manage.change(
            login: login, AccountChange(externalID: "https://issuer.example \(UUID())"), actor: "test")
        await intake.context.verifier.refresh()
        let headers = ["Authorization": "Bearer \(token)"]
        #expect(try await intake.send(.get, "/v1/session", headers: headers).status == 401)
    }

    @Test("whom nobody had time to look at has nothing to wait for")
    func busy() async throws {
        let intake = try await RunningIntake.shared()
        let login = Self.login()
        let account = try await intake.account(login, [.office])
        let sender = Self.sender("198.51.100.7")
        var sources = intake.context.sources
        let present = sources.now()
        // Time stands still: what has to wait, waits for ever.
        sources.now = { present }
        let full = Self.signIn(intake, passwords: PasswordThread(capacity: 0), sources: sources)
        for _ in 0..<5 {
            let problem = await #expect(throws: Problem.self) {
                try await full.authenticate(login: login, password: RunningIntake.password, sender: sender)
            }
            #expect(problem?.status == .tooManyRequests && problem?.headers[.retryAfter] == "5")
        }
        let free = Self.signIn(intake, sources: sources)
        let found = try await free.authenticate(login: login, password: RunningIntake.password, sender: sender)
        #expect(found.id == account.id)
    }
}
