import Crypto
import Foundation
import Model
import Testing

@testable import NotificationService

@Suite("Mails on the wire")
struct MailFormatTests {
    private func mail(subject: String, text: String = "text") -> String {
        let message = Message(
            id: UUID(uuidString: "019a0000-0000-7000-8000-000000000001") ?? UUID(),
            createdAt: Timestamp(microseconds: 0), subject: subject, text: text, payload: [])
        return String(
            decoding: MailFormat.bytes(
                message, from: "sluice@city.example", to: "duty@office.example",
                date: Timestamp(microseconds: 1_782_894_600_000_000)), as: UTF8.self)
    }

    @Test("a line break in the subject does not begin a header")
    func headerInjection() {
        let mail = mail(subject: "hello\r\nBcc: all@world.example\r\n\r\nbody")
        let head = mail.components(separatedBy: "\r\n\r\n")[0]
        #expect(!head.contains("\r\nBcc:"))
        #expect(head.components(separatedBy: "\r\n").filter { $0.hasPrefix("Subject:") }.count == 1)
    }

    @Test("a text with a lone dot does not end the mail")
    func dotStuffing() {
        let mail = mail(subject: "s", text: "a\r\n.\r\nMAIL FROM:<x@y.z>")
        #expect(!mail.contains("\r\n.\r\n"))
        #expect(!mail.contains("MAIL FROM"))
    }

    @Test("Chinese goes in encoded words of at most 75 characters that keep characters whole")
    func encodedWords() throws {
        let subject = String(repeating: "积水井盖", count: 20)
        let encoded = MailFormat.encoded(subject)
        var decoded = ""
        for word in encoded.components(separatedBy: "\r\n ") {
            #expect(word.utf8.count <= 75)
            let body = word.dropFirst("=?utf-8?B?".count).dropLast(2)
            let data = try #require(Data(base64Encoded: String(body)))
            decoded += try #require(String(data: data, encoding: .utf8))
        }
        #expect(decoded == subject)
    }

    @Test("no line is longer than SMTP allows")
    func lineLength() {
        let mail = mail(subject: String(repeating: "x", count: 900), text: String(repeating: "长", count: 5_000))
        #expect(mail.components(separatedBy: "\r\n").allSatisfy { $0.utf8.count <= 998 })
    }

    @Test("the date has the form of RFC 5322")
    func date() {
        #expect(MailFormat.date(Timestamp(microseconds: 0)) == "Thu, 01 Jan 1970 00:00:00 +0000")
        #expect(MailFormat.date(Timestamp(microseconds: 1_782_894_600_000_000)) == "Wed, 01 Jul 2026 08:30:00 +0000")
    }

    @Test(
        "what could carry a second command is no address",
        arguments: [
            "", "a", "a@", "@b.c", "a@b", "a b@c.d", "a@b.c>\r\nRCPT TO:<x@y.z", "a@b.c,d@e.f", "\"a\"@b.c", "a@.b",
            "a@b.",
            "ä@b.c", "a@b@c.d",
        ])
    func badAddresses(text: String) {
        #expect(!MailFormat.isAddress(text))
    }

    @Test("plain addresses are taken", arguments: ["a@b.c", "duty+1@office-3.sz.example", "x_y.z@a.b.c"])
    func goodAddresses(text: String) {
        #expect(MailFormat.isAddress(text))
    }
}

@Suite("Addresses that a webhook must not reach")
struct OutgoingAddressTests {
    @Test(
        "private, local, shared, documentation and multicast IPv4",
        arguments: [
            [0, 0, 0, 0], [10, 1, 2, 3], [100, 64, 0, 1], [127, 0, 0, 1], [169, 254, 169, 254], [172, 16, 0, 1],
            [172, 31, 255, 255], [192, 0, 0, 1], [192, 0, 2, 1], [192, 168, 1, 1], [198, 18, 0, 1], [198, 51, 100, 1],
            [203, 0, 113, 1], [224, 0, 0, 1], [255, 255, 255, 255],
        ] as [[UInt8]])
    func privateIPv4(address: [UInt8]) {
        #expect(OutgoingAddresses.isPrivate(address))
    }

    @Test(
        "public IPv4", arguments: [[8, 8, 8, 8], [172, 32, 0, 1], [100, 128, 0, 1], [192, 167, 0, 1]] as [[UInt8]])
    func publicIPv4(address: [UInt8]) {
        #expect(!OutgoingAddresses.isPrivate(address))
    }

    @Test("IPv6: loopback, unique local, link local, and IPv4 dressed as IPv6")
    func privateIPv6() {
        func address(_ head: [UInt8], _ tail: [UInt8] = []) -> [UInt8] {
            head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
        }
        #expect(OutgoingAddresses.isPrivate(address([], [1])))
        #expect(OutgoingAddresses.isPrivate(address([])))
        #expect(OutgoingAddresses.isPrivate(address([0xFC])))
        #expect(OutgoingAddresses.isPrivate(address([0xFE, 0x80], [1])))
        #expect(OutgoingAddresses.isPrivate(address([], [0xFF, 0xFF, 127, 0, 0, 1])))
        #expect(OutgoingAddresses.isPrivate(address([0x00, 0x64, 0xFF, 0x9B], [10, 0, 0, 1])))
        #expect(OutgoingAddresses.isPrivate(address([0x20, 0x02, 192, 168, 0, 1])))
        #expect(OutgoingAddresses.isPrivate(address([0x20, 0x01, 0x0D, 0xB8], [1])))
        #expect(!OutgoingAddresses.isPrivate(address([0x24, 0x00, 0x32, 0x00], [1])))
    }
}

@Suite("Signatures")
struct SignatureTests {
    /// The example of the Standard Webhooks specification's reference libraries.
    @Test("a webhook's signature is that of Standard Webhooks")
    func webhook() {
        let header = WebhookSignature.header(
            secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp: 1_614_265_330, body: Array(#"{"test": 2432232314}"#.utf8))
        #expect(header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test("while a secret is rotated both sign")
    func rotation() {
        let old = "whsec_" + Data(repeating: 1, count: 32).base64EncodedString()
        let new = "whsec_" + Data(repeating: 2, count: 32).base64EncodedString()
        let header = WebhookSignature.header(secrets: [new, old], id: "a", timestamp: 1, body: [])
        #expect(header?.split(separator: " ").count == 2)
    }

    @Test("a secret of another form signs nothing", arguments: ["", "abc", "whsec_", "whsec_%%%", "whsec_YWJj"])
    func badSecrets(secret: String) {
        #expect(WebhookSignature.header(secrets: [secret], id: "a", timestamp: 1, body: []) == nil)
    }

    private static let link = Link(
        kid: "abcdefghijklmnopqrstuvwx", notice: Identifier(UUID()), recipient: Identifier(UUID()),
        expiresAt: Timestamp(microseconds: 1))

    @Test("a link's token is good for its link alone")
    func links() {
        let keys = NotificationKeys(master: [UInt8](repeating: 1, count: 32))
        let token = keys.token(Self.link)
        #expect(keys.isValid(token, for: Self.link))
        var others = [Self.link, Self.link, Self.link, Self.link]
        others[0].notice = Identifier(UUID())
        others[1].recipient = Identifier(UUID())
        others[2].expiresAt = Timestamp(microseconds: 2)
        others[3].kid = "abcdefghijklmnopqrstuvwy"
        for other in others { #expect(!keys.isValid(token, for: other)) }
        #expect(!keys.isValid("", for: Self.link))
        #expect(!keys.isValid(String(token.dropLast()), for: Self.link))
        #expect(!NotificationKeys(master: [UInt8](repeating: 2, count: 32)).isValid(token, for: Self.link))
    }

    @Test("addresses are sealed, each time another way, and opened by the same key only")
    func sealing() throws {
        let keys = NotificationKeys(master: [UInt8](repeating: 1, count: 32))
        let first = try keys.seal("duty@office.example")
        #expect(try keys.open(first) == "duty@office.example")
        #expect(try keys.seal("duty@office.example") != first)
        #expect(throws: (any Error).self) {
            try NotificationKeys(master: [UInt8](repeating: 2, count: 32)).open(first)
        }
    }
}
