import Crypto
import FoundationEssentials
import Model

/// How to reach the sender of a report. Never leaves intake but to a person whose look is logged.
public struct Contact: Codable, Sendable, Hashable {
    public var name: String?
    public var phone: String?
    public var email: String?

    public init(name: String? = nil, phone: String? = nil, email: String? = nil) {
        self.name = name
        self.phone = phone
        self.email = email
    }

    public var isEmpty: Bool { name == nil && phone == nil && email == nil }

    /// A number or an address is one person's; a name alone is many people's.
    var isReachable: Bool { phone != nil || email != nil }

    /// What tells one person from another: the telephone number's digits, else the mail address in lower case.
    var lookupText: String {
        if let phone { return "phone " + phone.filter(\.isNumber) }
        if let email { return "email " + email.lowercased() }
        return "name " + (name ?? "")
    }
}

/// A contact sealed with a key of its person, which is itself wrapped by the master key. Destroying the wrapped key makes
/// the rest unreadable for good.
struct SealedContact: Sendable {
    var personID: UUID
    var wrappedKey: [UInt8]
    var lookupHash: [UInt8]
    var sealed: [UInt8]

    init(_ contact: Contact, personID: UUID, master: MasterKey, keyring: Keyring) throws {
        let key = SymmetricKey(size: .bits256)
        self.personID = personID
        self.wrappedKey = try master.wrap(key, purpose: Self.purpose(personID))
        self.lookupHash = keyring.hash(contact.lookupText, for: .contactLookup)
        self.sealed = try Sealing.seal(
            Array(try JSONEncoder().encode(contact)), with: key, context: Self.purpose(personID))
    }

    static func open(_ sealed: [UInt8], wrappedKey: [UInt8], personID: UUID, master: MasterKey) throws -> Contact {
        let key = try master.unwrap(wrappedKey, purpose: purpose(personID))
        let plain = try Sealing.open(sealed, with: key, context: purpose(personID))
        return try JSONDecoder().decode(Contact.self, from: Data(plain))
    }

    /// Binds the key to its person: a row moved to another person does not open.
    private static func purpose(_ personID: UUID) -> String { "person \(personID.uuidString)" }
}
