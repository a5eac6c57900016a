public import Crypto
import FoundationEssentials

/// The key that everything secret in the database hangs on. It comes from a file, never leaves the process, and does
/// nothing itself but wrap other keys: those of persons, of signing, and the service's own keyring.
public struct MasterKey: Sendable {
    private let wrapping: SymmetricKey

    /// - Parameter base64: of 32 bytes, in either alphabet. Nil if it is not.
    public init?(base64: String) {
        let plain = base64.filter { !$0.isWhitespace }.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        let padding = String(repeating: "=", count: (4 - plain.count % 4) % 4)
        guard let bytes = Data(base64Encoded: String(plain) + padding) else { return nil }
        self.init(Array(bytes))
    }

    /// - Parameter bytes: 32 of them. Nil if they are not.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        self.wrapping = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: bytes), info: Data("sluice intake key wrapping v1".utf8),
            outputByteCount: 32)
    }

    /// - Parameter purpose: bound into the result, so that one kind of key can't be put in another's place.
    public func wrap(_ key: SymmetricKey, purpose: String) throws -> [UInt8] {
        try Sealing.seal(key.withUnsafeBytes { Array($0) }, with: wrapping, context: purpose)
    }

    public func unwrap(_ wrapped: [UInt8], purpose: String) throws -> SymmetricKey {
        SymmetricKey(data: try Sealing.open(wrapped, with: wrapping, context: purpose))
    }
}

/// AES-256-GCM with a version byte in front: `1 ‖ nonce ‖ ciphertext ‖ tag`.
enum Sealing {
    private static let version: UInt8 = 1

    static func seal(_ plain: [UInt8], with key: SymmetricKey, context: String) throws -> [UInt8] {
        let box = try AES.GCM.seal(plain, using: key, authenticating: Array(context.utf8))
        guard let combined = box.combined else { throw SealError.malformed }
        return [version] + Array(combined)
    }

    static func open(_ sealed: [UInt8], with key: SymmetricKey, context: String) throws -> [UInt8] {
        guard sealed.first == version else { throw SealError.malformed }
        let box = try AES.GCM.SealedBox(combined: sealed.dropFirst())
        return Array(try AES.GCM.open(box, using: key, authenticating: Array(context.utf8)))
    }
}

enum SealError: Error {
    case malformed
}
