import FoundationEssentials
import Model
import Postgres
import Rules
import ServiceKit

/// A sign-in and its refresh tokens.
struct StoredSession: Sendable {
    enum End: String, Sendable {
        case signedOut = "signed_out"
        case signedOutEverywhere = "signed_out_everywhere"
        case tokenReused = "token_reused"
        case accountChanged = "account_changed"
    }

    var id: Session.ID
    var accountID: Account.ID
    var deviceHash: String?
    var expiresAt: Timestamp
}

struct SessionStore: Sendable {
    /// A second use of a token whose successor was never used is the same client that lost the answer: at any time if
    /// it comes from the device that signed in, within so long if the session has no device.
    static let grace: Duration = .seconds(30)

    /// How far clocks may be apart that a token is checked by.
    private static let clockError: Duration = .seconds(120)

    let database: PostgresClient

    // MARK: - Statements

    /// Begins a session of an account that still is as it was read; gives no row, and begins none, if it was changed or
    /// disabled since. A change that is under way is waited for, and one that comes later finds this session to end.
    /// - Parameter version: the account's, as it was when the person was asked who they are.
    static func begin(_ session: StoredSession, at version: Int, refreshHash: [UInt8]?) -> SQL {
        let begun: SQL = """
            INSERT INTO intake.session (session_id, account_id, device_hash, expires_at)
            SELECT \(session.id), account_id, \(session.deviceHash), \(session.expiresAt)
            FROM intake.account
            WHERE account_id = \(session.accountID) AND version = \(version) AND active
            FOR SHARE
            RETURNING session_id
            """
        guard let refreshHash else { return begun }
        return """
            WITH begun AS (\(begun)), token AS (
                INSERT INTO intake.refresh_token (token_hash, session_id)
                SELECT \(refreshHash), session_id FROM begun
            )
            SELECT session_id FROM begun
            """
    }

    /// Ends the account's sessions and voids their access tokens, session by session, so that a sign-in right after is not
    /// caught by it.
    static func endAll(of account: Account.ID, as end: StoredSession.End, now: Timestamp) -> SQL {
        ending("account_id = \(account) AND ended_at IS NULL", as: end, now: now)
    }

    static func end(_ session: Session.ID, as end: StoredSession.End, now: Timestamp) -> SQL {
        ending("session_id = \(session) AND ended_at IS NULL", as: end, now: now)
    }

    private static func ending(_ which: SQL, as end: StoredSession.End, now: Timestamp) -> SQL {
        // An access token signed a moment ago lives so long, whatever clock it is checked by. A session without refresh
        // tokens is a script's: its one token lives as long as the session.
        """
        WITH ended AS (
            UPDATE intake.session SET ended_at = \(now), end_reason = \(end.rawValue)
            WHERE \(which)
            RETURNING session_id, account_id, expires_at
        )
        INSERT INTO intake.revocation (subject, session_id, revoked_at, expires_at)
        SELECT account_id, session_id, \(now),
               greatest(\(now + Token.lifetime + Self.clockError), CASE
                   WHEN NOT EXISTS (SELECT FROM intake.refresh_token t WHERE t.session_id = ended.session_id)
                   THEN expires_at + \(Self.clockError) END)
        FROM ended
        """
    }

    // MARK: - Refresh

    enum Refresh: Sendable {
        case renewed(StoredSession)
        /// Unknown, expired, ended, or of another device.
        case refused
        /// Used before: somebody has a copy. The session is ended.
        case reused
    }

    /// Uses a token up and puts the next in its place.
    func refresh(
        _ tokenHash: [UInt8], deviceHash: String?, next nextHash: [UInt8], now: Timestamp
    ) async throws -> Refresh {
        try await database.transaction { transaction in
            let rows = try await transaction.query(
                """
                SELECT s.session_id, s.account_id, s.device_hash, s.expires_at, t.used_at, t.replaced_by, n.used_at
                FROM intake.refresh_token t
                JOIN intake.session s USING (session_id)
                LEFT JOIN intake.refresh_token n ON n.token_hash = t.replaced_by
                WHERE t.token_hash = \(tokenHash) AND s.ended_at IS NULL AND s.expires_at > \(now)
                FOR UPDATE OF t, s
                """)
            guard let row = rows.first else { return .refused }
            let session = StoredSession(
                id: try row.decode(0), accountID: try row.decode(1), deviceHash: try row.decode(2),
                expiresAt: try row.decode(3))
            let usedAt = try row.decode(4, as: Timestamp?.self)
            let successor = try row.decode(5, as: Bytes?.self)
            let successorUsedAt = try row.decode(6, as: Timestamp?.self)
            if session.deviceHash != nil, session.deviceHash != deviceHash { return .refused }
            if let usedAt {
                // A token that went astray itself has no successor: only a copy of it can show up.
                let mayBeLost = successor != nil && successorUsedAt == nil
                guard mayBeLost, session.deviceHash != nil || now - usedAt <= Self.grace else {
                    _ = try await transaction.commit([Self.end(session.id, as: .tokenReused, now: now)])
                    return .reused
                }
            }
            var statements: [SQL] = [
                "INSERT INTO intake.refresh_token (token_hash, session_id) VALUES (\(nextHash), \(session.id))",
                """
                UPDATE intake.refresh_token SET used_at = coalesce(used_at, \(now)), replaced_by = \(nextHash)
                WHERE token_hash = \(tokenHash)
                """,
            ]
            if let successor {
                // The answer that carried it was lost: whoever shows up with it now is not our client.
                statements.append(
                    "UPDATE intake.refresh_token SET used_at = \(now) WHERE token_hash = \(successor.bytes)")
            }
            _ = try await transaction.commit(statements)
            return .renewed(session)
        }
    }

    // MARK: - Attempts

    /// Charges an attempt to a bucket before its password is looked at. Answers until when one must wait instead, or nil
    /// if the attempt may go on.
    func charge(_ bucket: [UInt8], delay: SignInDelay, now: Timestamp) async throws -> Timestamp? {
        let rows = try await database.query(
            "SELECT failures, not_before, at FROM intake.sign_in_attempt WHERE bucket = \(bucket)")
        let known = try rows.first.map { row in
            (
                failures: try row.decode(0, as: Int.self), notBefore: try row.decode(1, as: Timestamp.self),
                at: try row.decode(2, as: Timestamp.self)
            )
        }
        if let known, known.notBefore > now { return known.notBefore }
        let next = delay.afterAttempt(failures: known?.failures ?? 0, last: known?.at, now: now)
        let seen = known?.failures ?? 0
        let written = try await database.query(
            """
            INSERT INTO intake.sign_in_attempt AS a (bucket, failures, not_before, at)
            VALUES (\(bucket), \(next.failures), \(next.notBefore), \(now))
            ON CONFLICT (bucket) DO UPDATE SET
                failures = excluded.failures, not_before = excluded.not_before, at = excluded.at
            WHERE a.failures = \(seen) AND a.not_before <= \(now)
            RETURNING failures
            """)
        // Somebody else tried the same at the same moment: one of the two waits.
        return written.isEmpty ? now + .seconds(1) : nil
    }

    /// Takes an attempt's charge back whose password nobody looked at. What somebody else was charged since stays.
    static func takeBack(_ bucket: [UInt8], chargedAt: Timestamp) -> SQL {
        """
        UPDATE intake.sign_in_attempt SET
            failures = greatest(0, failures - 1),
            not_before = CASE WHEN at = \(chargedAt) THEN \(chargedAt) ELSE not_before END
        WHERE bucket = \(bucket)
        """
    }

    static func forgive(_ bucket: [UInt8]) -> SQL {
        "DELETE FROM intake.sign_in_attempt WHERE bucket = \(bucket)"
    }

    /// Forgets what nobody needs any more. In chunks, so that nothing waits for it.
    func purge() async throws {
        _ = try await database.segment([
            "DELETE FROM intake.revocation WHERE expires_at < now() - interval '1 hour'",
            "DELETE FROM intake.sign_in_attempt WHERE at < now() - interval '2 days'",
            """
            DELETE FROM intake.refresh_token t USING intake.session s
            WHERE s.session_id = t.session_id AND s.expires_at < now() - interval '7 days'
            """,
            "DELETE FROM intake.session WHERE expires_at < now() - interval '90 days'",
        ])
    }
}
