import Crypto
public import Logging
public import Model
public import Postgres
public import ServiceLifecycle
import Synchronization

/// A public key of the built-in issuer, as `intake.api_jwks` shows it.
public struct TokenKey: Sendable, Hashable {
    public var kid: String
    /// `EdDSA`; keys of any other algorithm are not used.
    public var algorithm: String
    /// 32 bytes.
    public var publicKey: [UInt8]
    public var notBefore: Timestamp
    public var notAfter: Timestamp

    public init(kid: String, algorithm: String, publicKey: [UInt8], notBefore: Timestamp, notAfter: Timestamp) {
        self.kid = kid
        self.algorithm = algorithm
        self.publicKey = publicKey
        self.notBefore = notBefore
        self.notAfter = notAfter
    }
}

/// Tokens that were taken back: one session, or everything that an account got up to then.
public struct TokenRevocation: Sendable, Hashable {
    public var subject: Account.ID
    public var session: Session.ID?
    public var revokedAt: Timestamp
    public var expiresAt: Timestamp

    public init(subject: Account.ID, session: Session.ID?, revokedAt: Timestamp, expiresAt: Timestamp) {
        self.subject = subject
        self.session = session
        self.revokedAt = revokedAt
        self.expiresAt = expiresAt
    }
}

/// Checks access tokens against the issuer's published keys and the revocations, both of which it reads again and again.
/// A token with a key that is not known yet makes it read the keys at once, at most once a second.
public final class TokenVerifier: Service {
    public typealias Load = @Sendable () async throws -> (keys: [TokenKey], revocations: [TokenRevocation])

    private struct UsableKey {
        let key: Curve25519.Signing.PublicKey
        let notBefore: Timestamp
        let notAfter: Timestamp
    }

    private struct GoodToken {
        let claims: Claims
        /// It and its key run out at some time.
        let until: Timestamp
    }

    private struct State {
        var keys: [String: UsableKey] = [:]
        /// What `keys` was made of.
        var published: Set<TokenKey> = []
        /// Good by these keys: the same token comes with each request of its owner, and the check of a signature costs
        /// more than all else about a small one.
        var good: [String: GoodToken] = [:]
        /// Keyed by session where there is one, else by subject.
        var sessions: [Session.ID: Timestamp] = [:]
        var subjects: [Account.ID: Timestamp] = [:]
        var loadedAt: Timestamp?
        var lastTry: Timestamp?
        var loading: Task<Void, Never>?
    }

    /// Tokens remembered at most, some 1 KB each.
    private static let goodTokens = 1_024

    private let issuer: String
    private let now: @Sendable () -> Timestamp
    private let load: Load
    private let logger: Logger
    private let interval: Duration
    private let state = Mutex(State())

    /// - Parameters:
    ///   - issuer: what `iss` must say: the public URL.
    ///   - interval: how often keys and revocations are read again.
    public init(
        issuer: String, now: @escaping @Sendable () -> Timestamp, logger: Logger, interval: Duration = .seconds(2),
        load: @escaping Load
    ) {
        self.issuer = issuer
        self.now = now
        self.load = load
        self.logger = logger
        self.interval = interval
    }

    public convenience init(
        issuer: String, database: PostgresClient, now: @escaping @Sendable () -> Timestamp, logger: Logger
    ) {
        self.init(issuer: issuer, now: now, logger: logger) { try await TokenStore.read(database) }
    }

    public func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            await refresh()
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: self.interval) }
        }
    }

    /// True once keys have been read.
    public var isReady: Bool { state.withLock { $0.loadedAt != nil } }

    /// Who the token speaks for. Why one is refused is thrown for the log; its sender gets a plain 401.
    public func verify(_ token: some StringProtocol) async throws(Token.Fault) -> Claims {
        let text = String(token)
        let now = now()
        if let good = state.withLock({ $0.good[text] }), now < good.until { return try unlessRevoked(good.claims) }
        let parts = try Token.parts(text)
        var key = state.withLock { $0.keys[parts.kid] }
        if key == nil, mayRefresh(now) {
            await refresh()
            key = state.withLock { $0.keys[parts.kid] }
        }
        guard let key else { throw .unknownKey }
        guard key.key.isValidSignature(parts.signature, for: parts.signed) else { throw .signature }
        guard key.notBefore <= now + .seconds(60), now < key.notAfter else { throw .keyNotInUse }
        let claims = try Token.claims(parts.payload, issuer: issuer, now: now)
        let good = GoodToken(claims: claims, until: min(claims.expiresAt, key.notAfter))
        state.withLock { state in
            if state.good.count >= Self.goodTokens { state.good = state.good.filter { now < $0.value.until } }
            if state.good.count >= Self.goodTokens { state.good = [:] }
            // Not by a key that was taken away while the signature was checked.
            guard state.keys[parts.kid]?.key.rawRepresentation == key.key.rawRepresentation else { return }
            state.good[text] = good
        }
        return try unlessRevoked(claims)
    }

    private func unlessRevoked(_ claims: Claims) throws(Token.Fault) -> Claims {
        if isRevoked(claims) { throw .revoked }
        return claims
    }

    /// Whether a token that was good has been taken back since, for what lasts longer than one request.
    public func isRevoked(_ claims: Claims) -> Bool {
        state.withLock { state in
            state.sessions[claims.sid] != nil || state.subjects[claims.sub].map { claims.issuedAt <= $0 } ?? false
        }
    }

    /// Reads keys and revocations once more. What is known stays if that fails.
    public func refresh() async {
        let task = state.withLock { state in
            if let loading = state.loading { return loading }
            state.lastTry = now()
            let task = Task { await self.readOnce() }
            state.loading = task
            return task
        }
        await task.value
    }

    private func readOnce() async {
        do {
            let (keys, revocations) = try await load()
            var usable: [String: UsableKey] = [:]
            for key in keys where key.algorithm == "EdDSA" {
                guard let publicKey = try? Curve25519.Signing.PublicKey(rawRepresentation: key.publicKey) else {
                    logger.error("A published key cannot be read", metadata: ["kid": "\(key.kid)"])
                    continue
                }
                usable[key.kid] = UsableKey(key: publicKey, notBefore: key.notBefore, notAfter: key.notAfter)
            }
            let loadedAt = now()
            state.withLock { state in
                if Set(keys) != state.published { state.good = [:] }
                state.published = Set(keys)
                state.keys = usable
                state.sessions = [:]
                state.subjects = [:]
                for revocation in revocations {
                    if let session = revocation.session {
                        state.sessions[session] = revocation.revokedAt
                    } else {
                        let known = state.subjects[revocation.subject]
                        state.subjects[revocation.subject] = max(known ?? revocation.revokedAt, revocation.revokedAt)
                    }
                }
                state.loadedAt = loadedAt
                state.loading = nil
            }
        } catch {
            state.withLock { $0.loading = nil }
            logger.warning("Keys and revocations could not be read", metadata: ["error": "\(error)"])
        }
    }

    /// Strangers choose the kid, so an unknown one may not cost a query each time.
    private func mayRefresh(_ now: Timestamp) -> Bool {
        state.withLock { state in
            guard let last = state.lastTry else { return true }
            return now - last >= .seconds(1)
        }
    }
}
