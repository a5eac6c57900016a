import Crypto
import FoundationEssentials
import Model
import ServiceKit

/// The service's keys, made from the master key: one for contacts at rest, one for links. The master key itself is used
/// for nothing else.
public struct NotificationKeys: Sendable {
    private let contacts: SymmetricKey
    private let links: SymmetricKey

    /// - Parameter master: 32 bytes.
    public init(master: [UInt8]) {
        func derive(_ purpose: String) -> SymmetricKey {
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: master), info: Array("sluice notification \(purpose)".utf8),
                outputByteCount: 32)
        }
        contacts = derive("contacts")
        links = derive("links")
    }

    /// An address or secret as the database keeps it.
    public func seal(_ text: String) throws -> [UInt8] {
        guard let combined = try AES.GCM.seal(Array(text.utf8), using: contacts).combined else {
            throw CryptoKitError.incorrectParameterSize
        }
        return Array(combined)
    }

    func open(_ sealed: [UInt8]) throws -> String {
        String(decoding: try AES.GCM.open(AES.GCM.SealedBox(combined: sealed), using: contacts), as: UTF8.self)
    }

    /// The token of a signed link: one notice, one recipient, one purpose, until one moment.
    func token(_ link: Link) -> String {
        Base64URL.encode(Array(HMAC<SHA256>.authenticationCode(for: Self.text(link), using: links)))
    }

    /// Compares in constant time.
    func isValid(_ token: String, for link: Link) -> Bool {
        guard let bytes = Base64URL.decode(token) else { return false }
        return HMAC<SHA256>.isValidAuthenticationCode(bytes, authenticating: Self.text(link), using: links)
    }

    private static func text(_ link: Link) -> [UInt8] {
        Array("v1|\(link.kid)|\(link.notice)|\(link.recipient)|acknowledge|\(link.expiresAt.microseconds)".utf8)
    }
}

/// What a signed link is about.
struct Link: Sendable, Hashable {
    var kid: String
    var notice: Notice.ID
    var recipient: Recipient.ID
    var expiresAt: Timestamp
}

/// Standard Webhooks: `webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body))`, one a secret.
enum WebhookSignature {
    /// - Parameters:
    ///   - secrets: `whsec_` + base64; several while a secret is rotated.
    ///   - timestamp: seconds since 1970.
    /// - Returns: nil if a secret has not that form.
    static func header(secrets: [String], id: String, timestamp: Int64, body: [UInt8]) -> String? {
        let text = Array("\(id).\(timestamp).".utf8) + body
        var parts: [String] = []
        for secret in secrets {
            guard secret.hasPrefix("whsec_"), let key = Data(base64Encoded: String(secret.dropFirst("whsec_".count))),
                key.count >= 24
            else { return nil }
            let code = HMAC<SHA256>.authenticationCode(for: text, using: SymmetricKey(data: key))
            parts.append("v1,\(Data(code).base64EncodedString())")
        }
        return parts.isEmpty ? nil : parts.joined(separator: " ")
    }
}
