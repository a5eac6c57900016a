import Crypto
import FoundationEssentials
import HTTPTypes
public import Hummingbird
import Model
import NIOCore
public import Postgres

/// A POST that is sent again does its work once. The caller's transaction begins with `claim`, which inserts the key: a
/// second sender of the same key meets the first one's row (or waits for its commit), and is given the answer that the
/// first one got.
///
/// What is stored: the SHA-256 of (sender, method, path, key), the fingerprint of the body, and the answer, sealed under a
/// key made of the sender's own header. So the table alone shows no answer, tracking code or token to anybody.
public struct IdempotencyKey: Sendable {
    public static let constraint = "idempotency_pkey"

    let service: ServiceName
    let hash: [UInt8]
    let fingerprint: [UInt8]
    let seal: SymmetricKey

    /// For the first statement of a decision whose answer is not known yet; its last trip says `complete`.
    public var claim: SQL {
        IdempotencyStore.claim(service.schema, hash: hash, fingerprint: fingerprint)
    }

    /// For the first statement of a segment, whose answer is known beforehand.
    public func claim(_ answer: StoredResponse) throws -> SQL {
        IdempotencyStore.claim(
            service.schema, hash: hash, fingerprint: fingerprint, status: answer.status.code,
            answer: try answer.sealed(seal))
    }

    /// In the same transaction as `claim`, once the answer is known.
    public func complete(_ answer: StoredResponse) throws -> SQL {
        IdempotencyStore.complete(
            service.schema, hash: hash, status: answer.status.code, answer: try answer.sealed(seal))
    }
}

public enum Idempotency {
    /// Reads the header. Throws a `Problem` (400) if it is missing or not 8 to 200 visible ASCII characters, and 422 if an
    /// anonymous sender has no `Sluice-Device`.
    /// - Parameter body: what the fingerprint covers; of a multipart body the part that says what to do.
    public static func read(
        _ request: Request, _ context: APIContext, body: some Collection<UInt8>
    ) throws(Problem) -> IdempotencyKey {
        let key = try header(request)
        let sender: String
        switch context.principal {
        case .account(let claims): sender = "account \(claims.sub)"
        case .anonymous: sender = "device \(try context.requireDevice().value)"
        }
        return make(key, of: sender, request, context, body)
    }

    /// For what is done by a signed link: its holder is the sender, whoever holds it and from whatever device.
    /// - Parameter link: the link's public id.
    public static func read(
        _ request: Request, _ context: APIContext, link: String, body: some Collection<UInt8>
    ) throws(Problem) -> IdempotencyKey {
        make(try header(request), of: "link \(link)", request, context, body)
    }

    private static func header(_ request: Request) throws(Problem) -> String {
        guard let key = request.headers[.idempotencyKey] else {
            throw fault("missing", "This header is required here.", zh: "此处必须提供该请求头。")
        }
        guard (8...200).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw fault("form", "8 to 200 visible ASCII characters are wanted.", zh: "应为 8 到 200 个可见 ASCII 字符。")
        }
        return key
    }

    private static func make(
        _ key: String, of sender: String, _ request: Request, _ context: APIContext, _ body: some Collection<UInt8>
    ) -> IdempotencyKey {
        let path = request.uri.path
        let named = "\(sender)\n\(request.method.rawValue)\n\(path)\n\(key)"
        return IdempotencyKey(
            service: context.service, hash: Array(SHA256.hash(data: Array("name\n\(named)".utf8))),
            fingerprint: Array(SHA256.hash(data: Array(body))),
            seal: SymmetricKey(data: SHA256.hash(data: Array("seal\n\(named)".utf8))))
    }

    private static func fault(_ code: String, _ detail: String, zh: String) -> Problem {
        .malformed(
            "Idempotency-Key: \(detail)", zh: "Idempotency-Key：\(zh)",
            fields: [FieldError("Idempotency-Key", code: code, detail, zh: zh)])
    }

    /// The answer that was given to this key before; nil if there is none. Throws a `Problem`: 422 if the key came with
    /// another body, 409 if the first request was cut off before it had an answer.
    public static func replay(for key: IdempotencyKey, using database: PostgresClient) async throws -> Response? {
        let rows = try await database.query(
            IdempotencyStore.stored(key.service.schema, hash: key.hash), scope: .none)
        guard let row = rows.first else { return nil }
        guard try row.decode("fingerprint", as: Bytes.self).bytes == key.fingerprint else {
            throw Problem(
                .unprocessableContent, code: "idempotency_mismatch",
                "This key was used before with another body. Take a new one.", zh: "该幂等键已用于不同的请求内容，请换用新的键。",
                fields: [
                    FieldError(
                        "Idempotency-Key", code: "used", "Used before with another body.", zh: "已用于不同的请求内容。")
                ])
        }
        guard let status = try row.decode("status", as: Int?.self),
            let answer = try row.decode("answer", as: Bytes?.self)
        else {
            throw Problem.conflict(
                code: "in_progress", "The first request with this key has no answer yet.", zh: "使用该键的首个请求尚未完成。")
        }
        var response = try StoredResponse(status: status, sealed: answer.bytes, key.seal).response
        response.headers[.idempotentReplayed] = "true"
        return response
    }

    /// The whole dance. `work` runs one transaction that begins with `claim`; if the key is taken, the stored answer is
    /// given instead. If the connection broke during COMMIT the same transaction runs again: its insert waits for the one
    /// in doubt, and the key decides.
    public static func once(
        _ key: IdempotencyKey, using database: PostgresClient, _ work: () async throws -> Response
    ) async throws -> Response {
        var lastUnknown: PostgresError?
        for _ in 0..<4 {
            do {
                return try await work()
            } catch let error as PostgresError where error.isUniqueViolation(constraint: IdempotencyKey.constraint) {
                // Nothing there: the first one rolled back after it had made us wait. So it is ours now.
                if let response = try await replay(for: key, using: database) { return response }
            } catch let error as PostgresError where error.kind == .unknownOutcome {
                lastUnknown = error
            }
        }
        if let lastUnknown { throw lastUnknown }
        throw Problem.conflict(
            code: "in_progress", "Another request with this key is under way.", zh: "使用该键的另一个请求正在处理中。")
    }
}

extension HTTPField.Name {
    static let idempotentReplayed = Self("Idempotent-Replayed")!
}
