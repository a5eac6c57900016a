import Foundation
import HTTPTypes
import Model
import Postgres
import Testing

@testable import NotificationService

@Suite("Who is told of a case")
struct TellingTests {
    @Test("an emergency tells each first contact once by each of their ways, and the chief not yet")
    func emergency() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                let first = try await desk.recipient("李值班")
                let second = try await desk.recipient("王值班")
                let chief = try await desk.recipient("主任", level: 2)
                for person in [first, second, chief] { try await desk.webhook(person, receiver.url + "/office") }
                let snapshot = desk.emergency()
                try await desk.announce([snapshot])
                #expect(Set(try await desk.notices().map(\.recipient)) == [first, second])
                try await desk.sending {
                    try await eventually { receiver.calls("/office").count == 2 ? true : nil }
                    try await eventually {
                        try await desk.notices().allSatisfy { $0.state == "delivered" } ? true : nil
                    }
                }
                let call = try #require(receiver.calls("/office").first)
                let id = try #require(call.headers[text: "webhook-id"])
                let time = try #require(call.headers[text: "webhook-timestamp"].flatMap { Int64($0) })
                #expect(
                    call.headers[text: "webhook-signature"]
                        == WebhookSignature.header(secrets: [Desk.secret], id: id, timestamp: time, body: call.body))
                #expect(String(decoding: call.body, as: UTF8.self).contains(snapshot.caseID.description))
                // The same again, and an older one after a newer one, call for nothing.
                var newer = snapshot
                newer.version = 2
                newer.reportCount = 2
                try await desk.announce([snapshot, newer, snapshot])
                try await desk.announce([snapshot])
                #expect(try await desk.notices().count == 2)
                #expect(try await desk.deliveries().count == 2)
            }
        }
    }

    @Test("a routine case is an entry in the office's inbox, and nothing goes out")
    func routine() async throws {
        try await Desk.with { desk in
            let person = try await desk.recipient("李值班")
            try await desk.mail(person, "duty@office.example")
            var snapshot = desk.emergency()
            snapshot.emergency = false
            try await desk.announce([snapshot])
            let notices = try await desk.notices()
            #expect(notices.map(\.purpose) == ["routine"])
            #expect(notices.first?.recipient == nil)
            #expect(try await desk.deliveries().isEmpty)
        }
    }

    @Test("an emergency of a street where nobody is on duty is kept where dispatchers see it")
    func nobody() async throws {
        try await Desk.with { desk in
            try await desk.announce([desk.emergency()])
            #expect(try await desk.notices().map(\.state) == ["failed"])
        }
    }

    @Test(
        "when it is over, or no emergency, the links are withdrawn, and those who heard of it hear that too",
        arguments: [true, false])
    func standDown(isLowered: Bool) async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                let heard = try await desk.recipient("李值班")
                try await desk.webhook(heard, receiver.url + "/office")
                var snapshot = desk.emergency()
                try await desk.announce([snapshot])
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "delivered" ? true : nil }
                }
                // Joined the office after it was told.
                _ = try await desk.recipient("王值班")
                snapshot.version = 2
                if isLowered { snapshot.emergency = false } else { snapshot.state = .closed }
                try await desk.announce([snapshot])
                let notices = try await desk.notices()
                #expect(notices.map(\.purpose) == ["emergency", "stood_down"])
                #expect(notices.map(\.recipient) == [heard, heard])
                #expect(notices.first?.state == "withdrawn")
                #expect(
                    try await desk.count("SELECT count(*) FROM notification.link WHERE withdrawn_at IS NULL") == 0)
            }
        }
    }
}
