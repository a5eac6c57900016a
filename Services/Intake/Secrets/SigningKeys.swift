import Crypto
import FoundationEssentials
public import Logging
public import Model
public import Postgres
public import ServiceKit
public import ServiceLifecycle
import Synchronization

/// The built-in issuer's keys. They live in the database, private parts wrapped by the master key; every instance signs
/// with the same one. The first is made at once; each later one is published an hour before it signs, so that every
/// verifier knows it by then.
public final class SigningKeys: Service, Sendable {
    /// How long a key signs.
    static let signingPeriod: Duration = .seconds(30 * 86_400)
    static let publishedAhead: Duration = .seconds(3_600)
    /// A key verifies for so much longer than it signs: an access token's life and some clock error.
    static let verifiesLonger: Duration = .seconds(3_600)
    /// The next key is made so long before the present one stops signing.
    static let rotatesAhead: Duration = .seconds(86_400)

    private struct Stored: Sendable {
        var signer: TokenSigner
        var notBefore: Timestamp
        var notAfter: Timestamp
    }

    private let master: MasterKey
    private let database: PostgresClient
    private let issuer: String
    private let now: @Sendable () -> Timestamp
    private let logger: Logger
    private let keys = Mutex<[Stored]>([])

    public init(
        issuer: String, master: MasterKey, database: PostgresClient, now: @escaping @Sendable () -> Timestamp,
        logger: Logger
    ) {
        self.issuer = issuer
        self.master = master
        self.database = database
        self.now = now
        self.logger = logger
    }

    /// Looks for keys each minute, and all the time while none may sign; rotates when it is time.
    public func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            do {
                try await refresh()
            } catch {
                logger.warning("signing keys could not be read", metadata: ["error": "\(error)"])
            }
            let wait: Duration = isReady ? .seconds(60) : .milliseconds(250)
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: wait) }
        }
    }

    /// True while there is a key that may sign.
    var isReady: Bool { present != nil }

    /// Reads the keys; makes one if there is none that signs for long enough.
    public func refresh() async throws {
        var stored = try await read()
        let present = now()
        let lastSigning = stored.map(\.notAfter).max().map { $0 - Self.verifiesLonger }
        if lastSigning.map({ $0 - Self.rotatesAhead < present }) ?? true {
            try await makeNext(isFirst: !stored.contains { $0.notAfter - Self.verifiesLonger > present })
            stored = try await read()
        }
        keys.withLock { $0 = stored }
    }

    public func sign(_ claims: Claims) throws -> String {
        guard let present else { throw SigningKeyError.none }
        return try present.sign(claims)
    }

    /// What signs now, to be asked for before anything is written that only a signed token makes good. Throws a
    /// `Problem` (503) while there is none.
    func signer() throws(Problem) -> TokenSigner {
        guard let present else { throw .unavailable(retryAfter: 1) }
        return present
    }

    private var present: TokenSigner? {
        let present = now()
        return keys.withLock { keys in
            keys.filter { $0.notBefore <= present && present < $0.notAfter - Self.verifiesLonger }
                .max { $0.notBefore < $1.notBefore }?.signer
        }
    }

    private func read() async throws -> [Stored] {
        let rows = try await database.query(KeyStore.signingKeys(now: now()))
        return try rows.map { row in
            let kid: String = try row.decode(0)
            let wrapped: Bytes = try row.decode(1)
            let raw = try master.unwrap(wrapped.bytes, purpose: "signing \(kid)").withUnsafeBytes { Array($0) }
            return Stored(
                signer: try TokenSigner(kid: kid, seed: raw, issuer: issuer),
                notBefore: try row.decode(2),
                notAfter: try row.decode(3))
        }
    }

    private func makeNext(isFirst: Bool) async throws {
        let key = Curve25519.Signing.PrivateKey()
        let publicKey = Array(key.publicKey.rawRepresentation)
        let kid = Base64URL.encode(Array(SHA256.hash(data: publicKey).prefix(12)))
        let wrapped = try master.wrap(SymmetricKey(data: key.rawRepresentation), purpose: "signing \(kid)")
        let present = now()
        let start = isFirst ? present : present + Self.publishedAhead
        let end = start + Self.signingPeriod + Self.verifiesLonger
        let enough = present + Self.rotatesAhead + Self.verifiesLonger
        try await database.transaction { transaction in
            _ = try await transaction.commit(
                KeyStore.addSigningKey(
                    kid: kid, publicKey: publicKey, wrapped: wrapped, now: present, start: start, end: end,
                    enough: enough))
        }
    }
}

public enum SigningKeyError: Error {
    /// No key that may sign now; the service is not ready yet.
    case none
}
