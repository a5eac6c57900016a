import Crypto
public import Model
public import Postgres

/// Who a token speaks for, after it has been checked.
public struct Claims: Sendable, Hashable {
    public var sub: Account.ID
    public var sid: Session.ID
    public var roles: Set<Role>
    /// The districts that this account may act in; `.city` is the whole city.
    public var districts: DistrictScope
    public var name: String
    public var issuedAt: Timestamp
    public var expiresAt: Timestamp

    public init(
        sub: Account.ID, sid: Session.ID, roles: Set<Role>, districts: DistrictScope, name: String,
        issuedAt: Timestamp, expiresAt: Timestamp
    ) {
        self.sub = sub
        self.sid = sid
        self.roles = roles
        self.districts = districts
        self.name = name
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
    }

    public func has(_ role: Role) -> Bool { roles.contains(role) }

    /// May this account act in that district?
    public func covers(_ district: District.ID) -> Bool {
        switch districts {
        case .all, .city: true
        case .districts(let ids): ids.contains(district.rawValue)
        case .none: false
        }
    }
}

/// Who sends a request.
public enum Principal: Sendable, Hashable {
    case anonymous(device: DeviceKey?)
    case account(Claims)

    public var claims: Claims? {
        if case .account(let claims) = self { claims } else { nil }
    }

    /// Who did it, for `history.actor`: the account's id, or that nobody signed in.
    public var actor: String {
        if case .account(let claims) = self { "account:\(claims.sub)" } else { "anonymous" }
    }
}

/// The random bits by which an anonymous client is known again (`Sluice-Device`). They work like a password: never
/// printed, and stored as `digest` only.
public struct DeviceKey: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    public let value: String

    /// 22 to 64 characters of the URL-safe base64 alphabet, which is 128 bits or more.
    public init?(_ value: some StringProtocol) {
        let isPlain = value.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard (22...64).contains(value.utf8.count), isPlain else { return nil }
        self.value = String(value)
    }

    /// SHA-256 of the value.
    public var digest: [UInt8] { Array(SHA256.hash(data: Array(value.utf8))) }

    public var description: String { "***" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
