import FoundationEssentials
import HTTPTypes
import Logging
import Metrics
import Model
import Postgres
import Rules
import ServiceKit

/// Tokens for somebody who has shown who they are.
struct IssuedTokens: Sendable {
    var accessToken: String
    var refreshToken: String
    var claims: Claims
    var sessionExpiresAt: Timestamp
}

/// Sign-in with a password or an external issuer's token, refresh, sign-out.
struct SignIn: Sendable {
    /// How long a sign-in lasts without a new password, by role: a crew's phone is theirs and often without signal.
    static let crewSession: Duration = .seconds(30 * 86_400)
    static let deskSession: Duration = .seconds(12 * 3_600)

    let accounts: AccountStore
    let sessions: SessionStore
    let passwords: PasswordThread
    let keys: SigningKeys
    let keyring: KeyringLoader
    let external: ExternalIssuer?
    let sources: Sources
    let logger: Logger

    /// Not told apart: no such account, wrong password, not active.
    static let refused = Problem(
        .unauthorized, code: "sign_in_refused", "Name or password is wrong, or the account is not active.",
        zh: "账号或密码错误，或账号未启用。")

    // MARK: - With a password

    /// The account whose name and password these are. Charges the attempt first, so that many guesses at once gain
    /// nothing. Throws a `Problem`: 401, or 429 while one must wait.
    func authenticate(login: String, password: String, sender: Sender) async throws -> StoredAccount {
        let login = login.lowercased()
        let now = sources.now()
        let keyring = try keyring.get()
        let accountBucket = keyring.hash("account " + login, for: .login)
        let addressBucket = AddressPrefix.of(sender.address).map { keyring.hash("address " + $0, for: .login) }
        if let addressBucket,
            let until = try await sessions.charge(addressBucket, delay: .address, now: now)
        {
            throw tooSoon(until, now)
        }
        if let until = try await sessions.charge(accountBucket, delay: .account, now: now) { throw tooSoon(until, now) }

        let found = try await accounts.find(login: login)
        let isRight: Bool
        do {
            isRight = try await passwords.matches(password, found?.password)
        } catch is PasswordThread.Busy {
            throw Problem.tooMany(retryAfter: 5)
        }
        guard isRight, let account = found?.account, account.isActive else {
            Counter(label: "sluice_sign_ins_total", dimensions: [("outcome", "refused")]).increment()
            logger.info("a sign-in was refused")
            throw Self.refused
        }
        _ = try await sessions.database.segment(
            [SessionStore.forgive(accountBucket)] + (addressBucket.map { [SessionStore.forgive($0)] } ?? []))
        return account
    }

    private func tooSoon(_ until: Timestamp, _ now: Timestamp) -> Problem {
        Counter(label: "sluice_sign_ins_total", dimensions: [("outcome", "delayed")]).increment()
        return .tooMany(retryAfter: max(1, Int((until - now).inSeconds.rounded(.up))))
    }

    // MARK: - With an external issuer's token

    /// The account that an external issuer vouches for. Throws a `Problem` (401).
    func authenticate(idToken: String) async throws -> StoredAccount {
        guard let external else { throw Self.refused }
        let now = sources.now()
        guard let subject = try await external.verify(idToken, now: now),
            let account = try await accounts.find(externalID: subject), account.isActive
        else { throw Self.refused }
        return account
    }

    // MARK: - Sessions

    /// What a sign-in writes, and the tokens that it hands out.
    func begin(_ account: StoredAccount, device: DeviceKey?) throws -> (statements: [SQL], tokens: IssuedTokens) {
        let now = sources.now()
        let session = StoredSession(
            id: Session.ID(sources.randomUUID(now)), accountID: account.id,
            deviceHash: deviceHash(device, try keyring.get()),
            expiresAt: now + (account.roles.contains(.crew) ? Self.crewSession : Self.deskSession))
        let refreshToken = Base64URL.encode(sources.randomBytes(32))
        let tokens = try issue(account, session, refreshToken: refreshToken, now: now)
        Counter(label: "sluice_sign_ins_total", dimensions: [("outcome", "accepted")]).increment()
        return (
            SessionStore.insert(session, refreshHash: try keyring.get().hash(refreshToken, for: .refreshToken)), tokens
        )
    }

    /// New tokens for a refresh token, which is used up by it. Throws a `Problem` (401).
    func refresh(_ refreshToken: String, device: DeviceKey?) async throws -> IssuedTokens {
        let now = sources.now()
        let keyring = try keyring.get()
        let next = Base64URL.encode(sources.randomBytes(32))
        let outcome = try await sessions.refresh(
            keyring.hash(refreshToken, for: .refreshToken), deviceHash: deviceHash(device, keyring),
            next: keyring.hash(next, for: .refreshToken), now: now)
        switch outcome {
        case .renewed(let session):
            // Roles and districts as they are now, not as they were at sign-in.
            guard let account = try await accounts.find(session.accountID), account.isActive else {
                throw Problem.invalidToken
            }
            return try issue(account, session, refreshToken: next, now: now)
        case .refused:
            throw Problem.invalidToken
        case .reused:
            logger.warning("a refresh token was used twice; its session has been ended")
            Counter(label: "sluice_refresh_tokens_reused_total").increment()
            throw Problem.invalidToken
        }
    }

    func signOut(_ claims: Claims, everywhere: Bool) async throws {
        let now = sources.now()
        _ = try await sessions.database.segment([
            everywhere
                ? SessionStore.endAll(of: claims.sub, as: .signedOutEverywhere, now: now)
                : SessionStore.end(claims.sid, as: .signedOut, now: now)
        ])
    }

    private func issue(
        _ account: StoredAccount, _ session: StoredSession, refreshToken: String, now: Timestamp
    ) throws -> IssuedTokens {
        let claims = Claims(
            sub: account.id, sid: session.id, roles: Set(account.roles), districts: account.scope,
            name: account.displayName, issuedAt: now, expiresAt: min(now + Token.lifetime, session.expiresAt))
        return IssuedTokens(
            accessToken: try keys.sign(claims), refreshToken: refreshToken, claims: claims,
            sessionExpiresAt: session.expiresAt)
    }

    private func deviceHash(_ device: DeviceKey?, _ keyring: Keyring) -> String? {
        device.map { Base64URL.encode(keyring.hash($0.value, for: .device).prefix(16)) }
    }
}
