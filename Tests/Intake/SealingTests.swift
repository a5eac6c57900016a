import Crypto
import FoundationEssentials
import Testing

@testable import IntakeService

@Suite("What is sealed")
struct SealingTests {
    private let master = MasterKey([UInt8](repeating: 7, count: 32))
    private let keyring = Keyring(root: SymmetricKey(data: [UInt8](repeating: 9, count: 32)))

    @Test("a contact opens with its person's key and with nothing else")
    func contact() throws {
        let master = try #require(master)
        let person = UUID()
        let contact = Contact(name: "王芳", phone: "138 0000 0000", email: nil)
        let sealed = try SealedContact(contact, personID: person, master: master, keyring: keyring)
        #expect(
            try SealedContact.open(sealed.sealed, wrappedKey: sealed.wrappedKey, personID: person, master: master)
                == contact)
        // Another person's row, another master key, one changed bit.
        #expect(throws: (any Error).self) {
            try SealedContact.open(sealed.sealed, wrappedKey: sealed.wrappedKey, personID: UUID(), master: master)
        }
        let other = try #require(MasterKey([UInt8](repeating: 8, count: 32)))
        #expect(throws: (any Error).self) {
            try SealedContact.open(sealed.sealed, wrappedKey: sealed.wrappedKey, personID: person, master: other)
        }
        var changed = sealed.sealed
        changed[changed.count - 1] ^= 1
        #expect(throws: (any Error).self) {
            try SealedContact.open(changed, wrappedKey: sealed.wrappedKey, personID: person, master: master)
        }
    }

    @Test("one person's reports are found again by any spelling of their number")
    func lookup() {
        let first = keyring.hash(Contact(phone: "+86 138-0000-0000").lookupText, for: .contactLookup)
        let second = keyring.hash(Contact(name: "Wang", phone: "8613800000000").lookupText, for: .contactLookup)
        #expect(first == second)
        #expect(keyring.hash("a", for: .contactLookup) != keyring.hash("a", for: .device))
    }

    @Test("a master key is 32 bytes in base64, whichever alphabet")
    func masterKeys() {
        #expect(MasterKey(base64: Data(repeating: 0xFB, count: 32).base64EncodedString()) != nil)
        #expect(MasterKey(base64: "-_v7" + String(repeating: "A", count: 39)) != nil)
        for text in ["", "short", String(repeating: "A", count: 64), "!"] { #expect(MasterKey(base64: text) == nil) }
    }
}
