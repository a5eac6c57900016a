import Model
import Postgres

/// What intake publishes for those who check tokens.
enum TokenStore {
    static func read(
        _ database: PostgresClient
    ) async throws -> (keys: [TokenKey], revocations: [TokenRevocation]) {
        let results = try await database.segment(
            [
                """
                SELECT kid, alg, public_key, not_before::text AS not_before, not_after::text AS not_after
                FROM intake.api_jwks
                WHERE not_after > now() AND isfinite(not_before) AND isfinite(not_after)
                  AND alg = 'EdDSA' AND kid <> 'sentinel'
                """,
                """
                SELECT subject::text AS subject, session_id::text AS session_id, revoked_at::text AS revoked_at,
                       expires_at::text AS expires_at
                FROM intake.api_revocation
                WHERE expires_at > now() AND isfinite(revoked_at) AND isfinite(expires_at)
                """,
            ], scope: .all)
        let keys = try results[0].map { row in
            TokenKey(
                kid: try row.decode("kid"), algorithm: try row.decode("alg"),
                publicKey: try row.decode("public_key", as: Bytes.self).bytes,
                notBefore: try time(row, "not_before"), notAfter: try time(row, "not_after"))
        }
        let revocations = try results[1].compactMap { row -> TokenRevocation? in
            guard let subject = Account.ID(try row.decode("subject", as: String.self)) else { return nil }
            return TokenRevocation(
                subject: subject,
                session: try row.decode("session_id", as: String?.self).flatMap { Session.ID($0) },
                revokedAt: try time(row, "revoked_at"), expiresAt: try time(row, "expires_at"))
        }
        return (keys, revocations)
    }

    private static func time(_ row: Row, _ column: String) throws -> Timestamp {
        guard let time = Timestamp(try row.decode(column, as: String.self)) else {
            throw PostgresError(.decoding, "\(column) is not a time")
        }
        return time
    }
}
