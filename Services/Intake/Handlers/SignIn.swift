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

        let found: (account: StoredAccount, password: PasswordHash?)?
        let isRight: Bool
        do {
            found = try await accounts.find(login: login)
            isRight = try await passwords.matches(password, found?.password)
        } catch {
            // Nobody has looked at the password: whoever sent it has nothing to wait for.
            let buckets = [accountBucket] + (addressBucket.map { [$0] } ?? [])
            _ = try? await sessions.database.segment(buckets.map { SessionStore.takeBack($0, chargedAt: now) })
            if error is PasswordThread.Busy { throw Problem.tooMany(retryAfter: 5) }
            throw error
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

    /// What a sign-in writes, and the tokens that it hands out. If the statement gives no row, the account was changed
    /// since it was read, and nothing may be handed out.
    /// - Parameter signer: asked for before the password was looked at.
    func begin(
        _ account: StoredAccount, device: DeviceKey?, signer: TokenSigner
    ) throws -> (statement: SQL, tokens: IssuedTokens) {
        let now = sources.now()
        let keyring = try keyring.get()
        let session = StoredSession(
            id: Session.ID(sources.randomUUID(now)), accountID: account.id, deviceHash: deviceHash(device, keyring),
            expiresAt: now + (account.roles.contains(.crew) ? Self.crewSession : Self.deskSession))
        let refreshToken = Base64URL.encode(sources.randomBytes(32))
        return (
            SessionStore.begin(
                session, at: account.version, refreshHash: keyring.hash(refreshToken, for: .refreshToken)),
            try issue(account, session, refreshToken: refreshToken, signer: signer, now: now)
        )
    }

    /// Writes a sign-in behind the claim of its key. Throws a `Problem` (401), and writes nothing, if the account was
    /// changed since it was read: a password, a right or an identity that was taken away meanwhile signs nobody in.
    func write(_ statement: SQL, after claim: SQL) async throws {
        try await sessions.database.transaction { transaction in
            let rows = try await transaction.send([claim, statement])
            guard !rows[1].isEmpty else { throw Self.refused }
            _ = try await transaction.commit()
        }
        Counter(label: "sluice_sign_ins_total", dimensions: [("outcome", "accepted")]).increment()
    }

    /// New tokens for a refresh token, which is used up by it. Throws a `Problem`: 401, or 503 with the token unused
    /// while nothing can be signed.
    func refresh(_ refreshToken: String, device: DeviceKey?) async throws -> IssuedTokens {
        let now = sources.now()
        let signer = try keys.signer()
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
            return try issue(account, session, refreshToken: next, signer: signer, now: now)
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
        _ account: StoredAccount, _ session: StoredSession, refreshToken: String, signer: TokenSigner, now: Timestamp
    ) throws -> IssuedTokens {
        let claims = Claims(
            sub: account.id, sid: session.id, roles: Set(account.roles), districts: account.scope,
            name: account.displayName, issuedAt: now, expiresAt: min(now + Token.lifetime, session.expiresAt))
        return IssuedTokens(
            accessToken: try signer.sign(claims), refreshToken: refreshToken, claims: claims,
            sessionExpiresAt: session.expiresAt)
    }

    private func deviceHash(_ device: DeviceKey?, _ keyring: Keyring) -> String? {
        device.map { Base64URL.encode(keyring.hash($0.value, for: .device).prefix(16)) }
    }
}
