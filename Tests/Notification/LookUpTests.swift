import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Synchronization
import Testing

@testable import NotificationService

@Suite("Names and time of webhooks")
struct LookUpTests {
    /// Names as a test knows them: those that begin with `hang` have no answer until the test is over, `gone` is not
    /// known, all else is this machine.
    private final class Names: Sendable {
        private let state = Mutex((asked: [String](), isOver: false))

        var asked: [String] { state.withLock { $0.asked } }

        func end() { state.withLock { $0.isOver = true } }

        func lookUp(_ host: String) -> [[UInt8]] {
            state.withLock { $0.asked.append(host) }
            if host.hasPrefix("hang") {
                while !state.withLock({ $0.isOver }) { Thread.sleep(forTimeInterval: 0.005) }
                return []
            }
            return host.hasPrefix("gone") ? [] : [[127, 0, 0, 1]]
        }
    }

    @Test("names whose look-up hangs hold up nobody else, however many messages wait for them")
    func hangingNames() async throws {
        try await Receiver.with { receiver in
            try await Desk.with { desk in
                let names = Names()
                defer { names.end() }
                let host = "office.example:\(receiver.port)"
                let hanging = (1...3).map { "hang\($0).example" }
                let webhook = desk.webhook(listed: [host], NameLookUps { names.lookUp($0) })
                for name in hanging {
                    try await desk.webhook(try await desk.recipient(name), "http://\(name):\(receiver.port)/office")
                }
                for _ in 0..<2 { try await desk.announce([desk.emergency()]) }
                try await desk.sending(by: webhook) {
                    try await eventually { Set(names.asked) == Set(hanging) ? true : nil }
                    try await desk.webhook(try await desk.recipient("快"), "http://\(host)/office")
                    try await desk.announce([desk.emergency()])
                    try await eventually { receiver.calls("/office").isEmpty ? nil : true }
                }
                let hung = names.asked.filter { $0.hasPrefix("hang") }
                #expect(hung.count == 3, "one look-up a name, and none of them has ended")
            }
        }
    }

    @Test("a name that is not looked up in time: nothing was sent, and it is tried again")
    func late() async throws {
        try await Desk.with { desk in
            let names = Names()
            defer { names.end() }
            let webhook = desk.webhook(listed: [], NameLookUps { names.lookUp($0) }, timeout: .milliseconds(50))
            let now = desk.stage.context.sources.now()
            let message = Message(id: UUID(), createdAt: now, subject: "", text: "", payload: Array("{}".utf8))
            let outcome = await webhook.send(message, to: "https://hang.example/", secrets: [Desk.secret], now: now)
            #expect(outcome == .notSent(detail: "the name was not looked up in time"))
        }
    }

    @Test("a name that is not known is taken to be so for a moment, and then looked up again")
    func unknown() async throws {
        for (memory, asked) in [(Duration.seconds(3_600), 1), (Duration.zero, 2)] {
            let names = Names()
            let lookUps = NameLookUps(memory: memory) { names.lookUp($0) }
            for _ in 0..<2 {
                #expect(await lookUps.addresses(of: "gone.example", within: .seconds(600)) == .unknown)
            }
            #expect(names.asked.count == asked)
            let known = await lookUps.addresses(of: "office.example", within: .seconds(600))
            #expect(known == .found(first: [127, 0, 0, 1], all: [[127, 0, 0, 1]]))
        }
    }

    @Test("an answer whose body has no end is an answer: its head counts")
    func drip() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("李值班"), receiver.url + "/drip")
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "delivered" ? true : nil }
                }
                #expect(try await desk.deliveries() == ["webhook delivered, delivered: HTTP 200"])
            }
        }
    }
}
