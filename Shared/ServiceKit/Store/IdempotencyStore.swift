import Postgres

/// The SQL of idempotency keys, in the schema of the service that answers.
enum IdempotencyStore {
    static func claim(_ schema: String, hash: [UInt8], fingerprint: [UInt8]) -> SQL {
        """
        INSERT INTO \(identifier: schema).idempotency (key_hash, fingerprint)
        VALUES (\(hash), \(fingerprint))
        """
    }

    static func claim(_ schema: String, hash: [UInt8], fingerprint: [UInt8], status: Int, answer: [UInt8]) -> SQL {
        """
        INSERT INTO \(identifier: schema).idempotency (key_hash, fingerprint, status, answer)
        VALUES (\(hash), \(fingerprint), \(status), \(answer))
        """
    }

    static func complete(_ schema: String, hash: [UInt8], status: Int, answer: [UInt8]) -> SQL {
        """
        UPDATE \(identifier: schema).idempotency
        SET status = \(status), answer = \(answer)
        WHERE key_hash = \(hash)
        """
    }

    static func stored(_ schema: String, hash: [UInt8]) -> SQL {
        """
        SELECT fingerprint, status, answer FROM \(identifier: schema).idempotency
        WHERE key_hash = \(hash)
        """
    }
}
