public import Crypto
import FoundationEssentials
public import Logging
public import Postgres
import ServiceKit
public import ServiceLifecycle
import Synchronization

/// The service's own keys, made once, kept wrapped in the database and shared by all instances. Hashes made with them
/// can't be guessed from a copy of the database.
public struct Keyring: Sendable {
    private let root: SymmetricKey

    public init(root: SymmetricKey) { self.root = root }

    /// What a hash or sealed text is for; each has a key of its own.
    enum Purpose: String {
        case tracking, device, address, login
        case contactLookup = "contact_lookup"
        case refreshToken = "refresh_token"
        case requestBody = "request_body"
    }

    /// 32 bytes.
    func hash(_ bytes: some Sequence<UInt8>, for purpose: Purpose) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(bytes), using: key(purpose)))
    }

    func hash(_ text: String, for purpose: Purpose) -> [UInt8] { hash(text.utf8, for: purpose) }

    private func key(_ purpose: Purpose) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: root, info: Data("sluice intake \(purpose.rawValue) v1".utf8), outputByteCount: 32)
    }

    // MARK: - Loading

    private static let name = "root"

    /// Reads the keyring; the first instance of all makes it. Throws if the master key does not open it.
    public static func load(master: MasterKey, database: PostgresClient) async throws -> Keyring {
        let fresh = try master.wrap(SymmetricKey(size: .bits256), purpose: "keyring")
        let rows = try await database.segment(KeyStore.keyring(name, fresh: fresh))
        guard let wrapped = try rows[1].first?.decode(0, as: Bytes.self) else { throw KeyringError.missing }
        do {
            return Keyring(root: try master.unwrap(wrapped.bytes, purpose: "keyring"))
        } catch {
            throw KeyringError.wrongMasterKey
        }
    }
}

/// Has the keyring once the database could be asked for it; until then requests that need it are told to come again.
public final class KeyringLoader: Service, Sendable {
    private let master: MasterKey
    private let database: PostgresClient
    private let logger: Logger
    private let state = Mutex<(keyring: Keyring?, failure: String?)>((nil, nil))

    public init(master: MasterKey, database: PostgresClient, logger: Logger) {
        self.master = master
        self.database = database
        self.logger = logger
    }

    /// Throws a `Problem` (503) while it is not there yet.
    func get() throws -> Keyring {
        guard let keyring = state.withLock(\.keyring) else { throw Problem.unavailable(retryAfter: 1) }
        return keyring
    }

    /// Why it is not there; nil if it is.
    var failure: String? {
        state.withLock { $0.keyring != nil ? nil : $0.failure ?? "not read yet" }
    }

    public func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            if failure != nil {
                do {
                    let keyring = try await Keyring.load(master: master, database: database)
                    state.withLock { $0 = (keyring, nil) }
                } catch {
                    state.withLock { $0.failure = "\(error)" }
                    logger.warning("the keyring cannot be read", metadata: ["error": "\(error)"])
                }
            }
            let wait: Duration = failure == nil ? .seconds(3_600) : .milliseconds(200)
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: wait) }
        }
    }
}

public enum KeyringError: Error, CustomStringConvertible {
    case missing
    case wrongMasterKey
    case noMasterKey

    public var description: String {
        switch self {
        case .missing: "the keyring is neither in the database nor could it be made"
        case .wrongMasterKey: "SLUICE_MASTER_KEY is not the key under which this database's keys are wrapped"
        case .noMasterKey: "SLUICE_MASTER_KEY (or SLUICE_MASTER_KEY_FILE) is required: 32 bytes in base64"
        }
    }
}
