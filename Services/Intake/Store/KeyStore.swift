import Model
import Outbox
import Postgres

/// The SQL of the service's own keys, all of them wrapped.
enum KeyStore {
    /// The keyring's wrapped key; the first instance of all makes it.
    static func keyring(_ name: String, fresh: [UInt8]) -> [SQL] {
        [
            """
            INSERT INTO intake.keyring (name, wrapped_key) VALUES (\(name), \(fresh))
            ON CONFLICT (name) DO NOTHING
            """,
            "SELECT wrapped_key FROM intake.keyring WHERE name = \(name)",
        ]
    }

    /// Signing keys that still verify, oldest first.
    static func signingKeys(now: Timestamp) -> SQL {
        """
        SELECT kid, wrapped_private, not_before, not_after
        FROM intake.signing_key
        WHERE not_after > \(now) AND wrapped_private IS NOT NULL
        ORDER BY not_before
        """
    }

    /// Adds a signing key unless there is one that lasts long enough. Two instances at once would both make one: the
    /// second waits for the first and then finds its key, since the insert's snapshot is younger than the lock.
    static func addSigningKey(
        kid: String, publicKey: [UInt8], wrapped: [UInt8], now: Timestamp, start: Timestamp, end: Timestamp,
        enough: Timestamp
    ) -> [SQL] {
        [
            "SELECT pg_advisory_xact_lock(hashtextextended('intake.signing_key', 0))",
            """
            INSERT INTO intake.signing_key (kid, alg, public_key, wrapped_private, created_at, not_before, not_after)
            SELECT \(kid), 'EdDSA', \(publicKey), \(wrapped), \(now), \(start), \(end)
            WHERE NOT EXISTS (
                SELECT FROM intake.signing_key
                WHERE wrapped_private IS NOT NULL AND not_after > \(enough))
            """,
        ]
    }
}
