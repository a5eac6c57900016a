import FoundationEssentials
public import Model
public import Postgres
public import ServiceKit

/// Makes a bearer token for a script, for `sluicectl token`: a session without a refresh token, ended like any other.
public struct ScriptToken: Sendable {
    /// The longest that a script's token may live.
    public static let longest: Duration = .seconds(86_400)

    let database: PostgresClient
    let keys: SigningKeys
    let sources: Sources

    /// - Parameters:
    ///   - database: as a role that may write intake's tables.
    ///   - keys: loaded by `refresh()`.
    public init(database: PostgresClient, keys: SigningKeys, sources: Sources) {
        self.database = database
        self.keys = keys
        self.sources = sources
    }

    /// - Parameter lifetime: bounded by `longest`.
    public func make(for account: StoredAccount, lifetime: Duration = Token.lifetime) async throws -> String {
        guard account.isActive else { throw SignIn.refused }
        let now = sources.now()
        let expiry = now + min(lifetime, Self.longest)
        let session = StoredSession(
            id: Session.ID(sources.randomUUID(now)), accountID: account.id, deviceHash: nil, expiresAt: expiry)
        let begun = try await database.query(SessionStore.begin(session, at: account.version, refreshHash: nil))
        // Changed or disabled since it was read.
        guard !begun.isEmpty else { throw SignIn.refused }
        return try keys.sign(
            Claims(
                sub: account.id, sid: session.id, roles: Set(account.roles), districts: account.scope,
                name: account.displayName, issuedAt: now, expiresAt: expiry))
    }
}
