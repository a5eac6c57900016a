import Crypto
import CryptoExtras
import FoundationEssentials

/// A password's scrypt hash in the usual text form: `$scrypt$ln=15,r=8,p=3$<salt>$<key>`. The parameters stand in the
/// text, so that stronger ones can come later without anybody's noticing.
public struct PasswordHash: Sendable, Hashable {
    public struct Cost: Sendable, Hashable {
        /// log₂ of the rounds.
        var logRounds: Int
        var blockSize: Int
        var parallelism: Int

        /// 32 MB and about a quarter of a second of one core (OWASP's table for scrypt).
        public static let standard = Cost(logRounds: 15, blockSize: 8, parallelism: 3)

        /// Bounds what a stored text can make us do.
        var isAcceptable: Bool {
            (10...18).contains(logRounds) && (1...16).contains(blockSize) && (1...8).contains(parallelism)
        }
    }

    let cost: Cost
    let salt: [UInt8]
    let key: [UInt8]

    private static let keyLength = 32
    private static let saltLength = 16

    /// Computes it: slow and 32 MB large, so only on `PasswordThread`.
    init(password: String, salt: [UInt8], cost: Cost = .standard) throws {
        self.cost = cost
        self.salt = salt
        self.key = try Self.derive(password, salt: salt, cost: cost, length: Self.keyLength)
    }

    public init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
        var values: [Substring: Int] = [:]
        for pair in parts[2].split(separator: ",") {
            let sides = pair.split(separator: "=")
            guard sides.count == 2, let number = Int(sides[1]) else { return nil }
            values[sides[0]] = number
        }
        guard let logRounds = values["ln"], let blockSize = values["r"], let parallelism = values["p"],
            let salt = Data(base64Encoded: String(parts[3])), let key = Data(base64Encoded: String(parts[4])),
            salt.count >= 8, (16...64).contains(key.count)
        else { return nil }
        let cost = Cost(logRounds: logRounds, blockSize: blockSize, parallelism: parallelism)
        guard cost.isAcceptable else { return nil }
        self.cost = cost
        self.salt = Array(salt)
        self.key = Array(key)
    }

    public var text: String {
        "$scrypt$ln=\(cost.logRounds),r=\(cost.blockSize),p=\(cost.parallelism)"
            + "$\(Data(salt).base64EncodedString())$\(Data(key).base64EncodedString())"
    }

    /// Slow, like the making. Compares in constant time.
    func matches(_ password: String) throws -> Bool {
        let candidate = try Self.derive(password, salt: salt, cost: cost, length: key.count)
        return zip(candidate, key).reduce(UInt8(candidate.count == key.count ? 0 : 1)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private static func derive(_ password: String, salt: [UInt8], cost: Cost, length: Int) throws -> [UInt8] {
        let key = try KDF.Scrypt.deriveKey(
            from: Data(password.utf8), salt: Data(salt), outputByteCount: length, rounds: 1 << cost.logRounds,
            blockSize: cost.blockSize, parallelism: cost.parallelism)
        return key.withUnsafeBytes { Array($0) }
    }
}
