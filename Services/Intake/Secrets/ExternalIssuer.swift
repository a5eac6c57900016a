import Crypto
import CryptoExtras
import FoundationEssentials
import Model
import ServiceKit

/// An OpenID Connect issuer that vouches for people who have an account here. Its ID tokens are checked against its
/// published keys, which an operator (or a timer of theirs) puts into a file: intake itself asks nobody on the network.
struct ExternalIssuer: Sendable {
    /// The one algorithm that this issuer signs with; what a token says of itself decides nothing.
    enum Algorithm: String, Sendable, CaseIterable {
        case rs256 = "RS256"
        case eddsa = "EdDSA"
    }

    let issuer: String
    let audience: String
    let algorithm: Algorithm
    /// Path of a JWKS (RFC 7517).
    let keysFile: String
    let queue = BlockingQueue("sluice.issuer-keys", capacity: 32)

    /// Longer than any token that such issuers make.
    private static let sizeLimit = 8_192

    /// `iss sub` of the person; nil if the token is not good.
    func verify(_ token: String, now: Timestamp) async throws -> String? {
        let pieces = token.split(separator: ".", omittingEmptySubsequences: false)
        guard token.utf8.count <= Self.sizeLimit, pieces.count == 3,
            let header = Base64URL.decode(pieces[0]).flatMap({ try? JSONDecoder().decode(Header.self, from: Data($0)) }
            ),
            let signature = Base64URL.decode(pieces[2]),
            let payload = Base64URL.decode(pieces[1]), header.alg == algorithm.rawValue
        else { return nil }
        let keysFile = keysFile
        guard let data = try await queue.run({ FileManager.default.contents(atPath: keysFile) }),
            let keys = try? JSONDecoder().decode(KeySet.self, from: data),
            let key = keys.keys.first(where: { $0.kid == header.kid }),
            isSigned(Array("\(pieces[0]).\(pieces[1])".utf8), signature, by: key),
            let claims = try? JSONDecoder().decode(Payload.self, from: Data(payload))
        else { return nil }
        let seconds = Double(now.microseconds) / 1_000_000
        guard claims.iss == issuer, claims.aud.values.contains(audience), claims.exp > seconds,
            claims.nbf.map({ $0 <= seconds + 60 }) ?? true, !claims.sub.isEmpty
        else { return nil }
        return "\(claims.iss) \(claims.sub)"
    }

    private func isSigned(_ text: [UInt8], _ signature: [UInt8], by key: Key) -> Bool {
        switch algorithm {
        case .rs256:
            guard key.kty == "RSA", let n = key.n.flatMap({ Base64URL.decode($0) }),
                let e = key.e.flatMap({ Base64URL.decode($0) }), n.count >= 256,
                let publicKey = try? _RSA.Signing.PublicKey(n: n, e: e)
            else { return false }
            return publicKey.isValidSignature(
                _RSA.Signing.RSASignature(rawRepresentation: signature), for: SHA256.hash(data: text),
                padding: .insecurePKCS1v1_5)
        case .eddsa:
            guard key.kty == "OKP", key.crv == "Ed25519", let x = key.x.flatMap({ Base64URL.decode($0) }),
                let publicKey = try? Curve25519.Signing.PublicKey(rawRepresentation: x)
            else { return false }
            return publicKey.isValidSignature(signature, for: text)
        }
    }

    private struct Header: Decodable {
        var alg: String
        var kid: String
    }

    private struct KeySet: Decodable { var keys: [Key] }

    private struct Key: Decodable {
        var kty: String
        var kid: String?
        var n: String?
        var e: String?
        var crv: String?
        var x: String?
    }

    private struct Payload: Decodable {
        var iss: String
        var sub: String
        var aud: OneOrMany
        var exp: Double
        var nbf: Double?
    }

    /// `aud` is a text or a list of them.
    private struct OneOrMany: Decodable {
        var values: [String]

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            values = try (try? [container.decode(String.self)]) ?? container.decode([String].self)
        }
    }
}
