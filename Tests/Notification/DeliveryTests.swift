import Foundation
import HTTPTypes
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import NotificationService

@Suite("Deliveries")
struct DeliveryTests {
    @Test("what fails for a time is sent again under the same id, and each try is in the log")
    func again() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("李值班"), receiver.url + "/office")
                receiver.answerNext(.serviceUnavailable)
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "delivered" ? true : nil }
                }
                let ids = receiver.calls("/office").map { $0.headers[text: "webhook-id"] }
                #expect(ids.count == 2 && Set(ids).count == 1)
                #expect(try await desk.deliveries() == ["webhook delivered, refused: HTTP 503, delivered: HTTP 204"])
            }
        }
    }

    @Test("a pause that the other side asks for is kept")
    func retryAfter() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("李值班"), receiver.url + "/office")
                receiver.answerNext(.tooManyRequests, [.retryAfter: "600"])
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { try await desk.deliveries().first?.contains("429") == true ? true : nil }
                }
                #expect(
                    try await desk.count(
                        "SELECT count(*) FROM notification.delivery WHERE next_at > created_at + interval '9 min'") == 1
                )
            }
        }
    }

    @Test(
        "what will never succeed is given up at once and shown as failed",
        arguments: [("/gone", "refused: HTTP 410: gone"), ("/away", "refused: HTTP 307: redirects are not followed")])
    func forGood(path: String, line: String) async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("李值班"), receiver.url + path)
                receiver.answerNext(.gone)
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "failed" ? true : nil }
                }
                #expect(try await desk.deliveries() == ["webhook failed, \(line)"])
                #expect(receiver.calls("/elsewhere").isEmpty)
            }
        }
    }

    @Test("an address inside the house is refused unless an administrator listed it")
    func privateAddress() async throws {
        try await Receiver.with { receiver in
            try await Desk.with { desk in
                try await desk.webhook(try await desk.recipient("李值班"), receiver.url + "/office")
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "failed" ? true : nil }
                }
                #expect(try await desk.deliveries() == ["webhook failed, refused: the address is private or local"])
                #expect(receiver.calls("/office").isEmpty)
            }
        }
    }

    @Test("a receiver that never answers holds up nobody else")
    func hanging() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("慢"), receiver.url + "/hang")
                // More than one receiver may have under way, so that the rest waits for its own turn.
                for _ in 0..<20 { try await desk.announce([desk.emergency()]) }
                try await desk.sending {
                    try await eventually { receiver.calls("/hang").count >= UnderWay.perChannel ? true : nil }
                    try await desk.webhook(try await desk.recipient("快"), receiver.url + "/office")
                    try await desk.announce([desk.emergency()])
                    try await eventually { receiver.calls("/office").count == 1 ? true : nil }
                    let ended = try await desk.count(
                        "SELECT count(*) FROM notification.delivery_attempt WHERE outcome <> 'delivered'")
                    #expect(ended == 0, "it went out while all the others were under way")
                }
                #expect(receiver.calls("/hang").count < UnderWay.perChannel + UnderWay.perClaim)
            }
        }
    }

    @Test("a stop lets what is under way end, and its outcome is known")
    func stop() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("慢"), receiver.url + "/held")
                try await desk.announce([desk.emergency()])
                try await desk.stopping(budget: .seconds(60)) {
                    _ = try await eventually { receiver.calls("/held").isEmpty ? nil : true }
                } meanwhile: {
                    receiver.letGo()
                }
                #expect(try await desk.deliveries() == ["webhook delivered, delivered: HTTP 200"])
            }
        }
    }

    @Test("what a stop has to cut off is written down and given back at once, for another instance to send")
    func cutOff() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("慢"), receiver.url + "/hang")
                try await desk.announce([desk.emergency()])
                let stopped = await #expect(throws: UncleanStop.self) {
                    try await desk.stopping(budget: .milliseconds(50)) {
                        _ = try await eventually { receiver.calls("/hang").isEmpty ? nil : true }
                    }
                }
                #expect(stopped?.reasons == ["sender did not stop in time"])
                #expect(try await desk.deliveries().first?.hasPrefix("webhook waiting, unknown: ") == true)
                #expect(
                    try await desk.count(
                        "SELECT count(*) FROM notification.delivery WHERE lease IS NULL AND next_at <= now()") == 1)
            }
        }
    }

    @Test("a mail server that is not there is tried again later")
    func noServer() async throws {
        try await Desk.with(["SLUICE_SMTP_PORT": "\(try PrivatePostgres.freePort())"]) { desk in
            try await desk.mail(try await desk.recipient("李值班"), "duty@office.example")
            try await desk.announce([desk.emergency()])
            try await desk.sending {
                try await eventually { try await desk.deliveries().first?.contains("not_sent") == true ? true : nil }
            }
            #expect(try await desk.deliveries().first?.hasPrefix("mail waiting, not_sent: ") == true)
        }
    }

    @Test("the table takes exactly the kinds of channel that the service knows, and each has places of its own")
    func kinds() async throws {
        try await Desk.with { desk in
            let checks = try await desk.stage.admin.rows(
                """
                SELECT pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid = 'notification.channel'::regclass AND contype = 'c'
                """)
            let words = checks.compactMap { $0[0] }.joined().matches(of: #/'(\w+)'/#).map { String($0.output.1) }
            #expect(Set(words) == Set(ChannelKind.allCases.map(\.rawValue)))
            #expect(Set(UnderWay().room.kinds) == Set(ChannelKind.allCases))
        }
    }

    @Test("a bell that rang in time leaves no late ring behind")
    func bell() async throws {
        let bell = SendBell()
        bell.ring(.emergency)
        await bell.wait(for: .emergency, atMost: .seconds(600))
        // The timer of the wait above is over by now if it was going to ring.
        try await Task.sleep(for: .milliseconds(50))
        #expect(!bell.isRung(.emergency))
    }
}
