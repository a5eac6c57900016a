import Crypto
import FoundationEssentials
import Model
import Postgres

/// JSON Web Tokens (RFC 7519) as the built-in issuer makes them: EdDSA over Ed25519 (RFC 8037) and nothing else. The
/// algorithm is fixed here and never taken from the token, so "none" and key confusion have nothing to work on.
public enum Token {
    /// What `aud` must say.
    public static let audience = "sluice"
    /// How long an access token lives.
    public static let lifetime = Duration.seconds(600)
    /// The cookie that carries it in browsers.
    public static let cookie = "__Host-sluice"
    static let sizeLimit = 4_096

    /// Why a token was not accepted: for the log, never for the sender.
    public enum Fault: String, Error, Sendable {
        case form
        case algorithm
        case unknownKey = "unknown_key"
        case keyNotInUse = "key_not_in_use"
        case signature
        case claims
        case issuer
        case audience
        case expired
        case notYetValid = "not_yet_valid"
        case revoked
    }

    /// The three parts, decoded but not yet believed.
    struct Parts {
        let kid: String
        let signed: [UInt8]
        let signature: [UInt8]
        let payload: [UInt8]
    }

    private struct Header: Decodable {
        let alg: String
        let kid: String
        let typ: String?
        // A header that is marked critical must be understood; there is none that we do.
        let crit: [String]?
    }

    struct Payload: Codable {
        var iss: String
        var aud: String
        var sub: String
        var sid: String
        var iat: Int64
        var exp: Int64
        var roles: [String]
        var districts: [String]
        var name: String
    }

    static func parts(_ token: some StringProtocol) throws(Fault) -> Parts {
        guard token.utf8.count <= sizeLimit else { throw .form }
        let pieces = token.split(separator: ".", omittingEmptySubsequences: false)
        guard pieces.count == 3, let headerBytes = Base64URL.decode(pieces[0]),
            let payload = Base64URL.decode(pieces[1]), let signature = Base64URL.decode(pieces[2]),
            let header = try? JSONNodeDecoder.decode(
                Header.self, from: JSONReader.read(headerBytes), ignoringUnknown: true)
        else { throw .form }
        guard header.alg == "EdDSA", header.crit == nil, header.typ == nil || header.typ == "JWT" else {
            throw .algorithm
        }
        return Parts(
            kid: header.kid, signed: Array("\(pieces[0]).\(pieces[1])".utf8), signature: signature, payload: payload)
    }

    /// The claims, once the signature has been found good.
    static func claims(_ payload: [UInt8], issuer: String, now: Timestamp) throws(Fault) -> Claims {
        guard
            let read = try? JSONNodeDecoder.decode(
                Payload.self, from: JSONReader.read(payload), ignoringUnknown: true),
            let sub = Account.ID(read.sub), let sid = Session.ID(read.sid),
            let issuedAt = time(read.iat), let expiresAt = time(read.exp)
        else { throw .claims }
        guard read.iss == issuer else { throw .issuer }
        guard read.aud == audience else { throw .audience }
        guard now < expiresAt else { throw .expired }
        // Clocks of two hosts may differ by a little.
        guard issuedAt <= now + .seconds(60) else { throw .notYetValid }
        let districts: DistrictScope
        if read.districts == ["*"] {
            districts = .city
        } else {
            var ids: [UUID] = []
            for text in read.districts {
                guard let id = UUID(uuidString: text) else { throw .claims }
                ids.append(id)
            }
            districts = ids.isEmpty ? .none : .districts(ids)
        }
        return Claims(
            sub: sub, sid: sid, roles: Set(read.roles.compactMap(Role.init(rawValue:))), districts: districts,
            name: read.name, issuedAt: issuedAt, expiresAt: expiresAt)
    }

    private static func time(_ seconds: Int64) -> Timestamp? {
        let (microseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow || seconds < 0 ? nil : Timestamp(microseconds: microseconds)
    }
}

/// Makes access tokens. Held by the issuer alone.
public struct TokenSigner: Sendable {
    public let kid: String
    private let key: Curve25519.Signing.PrivateKey
    private let issuer: String

    /// - Parameters:
    ///   - seed: the 32 bytes of an Ed25519 private key. Throws if it is not that.
    ///   - issuer: what `iss` says: the public URL.
    public init(kid: String, seed: [UInt8], issuer: String) throws {
        self.kid = kid
        self.key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        self.issuer = issuer
    }

    /// The 32 bytes that `intake.api_jwks` publishes.
    public var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }

    public func sign(_ claims: Claims) throws -> String {
        let districts: [String] =
            switch claims.districts {
            case .all, .city: ["*"]
            case .districts(let ids): ids.map { $0.uuidString.lowercased() }
            case .none: []
            }
        let payload = Token.Payload(
            iss: issuer, aud: Token.audience, sub: claims.sub.description, sid: claims.sid.description,
            iat: claims.issuedAt.microseconds / 1_000_000, exp: claims.expiresAt.microseconds / 1_000_000,
            roles: claims.roles.map(\.rawValue).sorted(), districts: districts, name: claims.name)
        var header = JSONWriter()
        header.object { object in
            object.field("alg", "EdDSA")
            object.field("typ", "JWT")
            object.field("kid", kid)
        }
        let signed = "\(Base64URL.encode(header.bytes)).\(Base64URL.encode(try JSONEncoder().encode(payload)))"
        let signature = try key.signature(for: Array(signed.utf8))
        return "\(signed).\(Base64URL.encode(signature))"
    }
}
