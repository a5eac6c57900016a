import Foundation
import HTTPTypes
import Model
import Postgres
import Testing

@testable import NotificationService

@Suite("Channels that change")
struct ChannelTests {
    @Test("a channel that is switched off sends no more: what waits for it is withdrawn, and the second level is told")
    func off() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                let person = try await desk.recipient("李值班")
                try await desk.webhook(person, receiver.url + "/office")
                receiver.answerNext(.tooManyRequests, [.retryAfter: "600"])
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { try await desk.deliveries().first?.contains("429") == true ? true : nil }
                }
                let path = try await desk.channelPath(of: person)
                try await desk.serving { http in
                    let token = try desk.token([.admin])
                    let stale = try await http.patch(path, json: #"{"active":false}"#, version: 7, token: token)
                    #expect(stale.status == 412)
                    #expect(try await desk.deliveries() == ["webhook waiting, refused: HTTP 429"])
                    let off = try await http.patch(path, json: #"{"active":false}"#, version: 1, token: token)
                    #expect(off.status == 200 && off.headers[.eTag] == "\"2\"", "\(off.text)")
                }
                #expect(try await desk.deliveries() == ["webhook withdrawn, refused: HTTP 429"])
                #expect(try await desk.notices().map(\.state) == ["failed"], "it can reach nobody")
                // Due again, beside another that goes out.
                try await desk.database.segment(["UPDATE notification.delivery SET next_at = clock_timestamp()"])
                try await desk.webhook(try await desk.recipient("王值班"), receiver.url + "/other")
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { receiver.calls("/other").isEmpty ? nil : true }
                }
                #expect(receiver.calls("/office").count == 1)
                #expect(
                    try await desk.count(
                        "SELECT count(*) FROM notification.notice WHERE state = 'failed' AND escalate_at IS NOT NULL")
                        == 1)
            }
        }
    }

    @Test("a notice that was made in the moment when its channel was switched off is not sent by it")
    func moment() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                let person = try await desk.recipient("李值班")
                try await desk.webhook(person, receiver.url + "/office")
                try await desk.announce([desk.emergency()])
                try await desk.database.segment([
                    "UPDATE notification.channel SET active = false WHERE recipient_id = \(person)"
                ])
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "failed" ? true : nil }
                }
                #expect(try await desk.deliveries() == ["webhook failed, refused: the channel is switched off"])
                #expect(receiver.calls("/office").isEmpty)
                let attempted: SQL = "SELECT count(*) FROM notification.notice WHERE first_attempt_at IS NOT NULL"
                #expect(try await desk.count(attempted) == 0, "nobody was told")
            }
        }
    }

    @Test("rotating twice within the day leaves the receiver the one secret that it knows for sure")
    func rotatedTwice() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                let person = try await desk.recipient("李值班")
                try await desk.webhook(person, receiver.url + "/office")
                let path = try await desk.channelPath(of: person)
                let rotate = #"{"rotate_secret":true}"#
                try await desk.serving { http in
                    let token = try desk.token([.admin])
                    // Its answer is lost.
                    #expect(try await http.patch(path, json: rotate, version: 1, token: token).status == 200)
                    let second = try await http.patch(path, json: rotate, version: 2, token: token)
                    #expect(second.status == 409 && second["code"] == "rotating", "\(second.text)")
                }
                try await desk.announce([desk.emergency()])
                try await desk.sending {
                    try await eventually { receiver.calls("/office").isEmpty ? nil : true }
                }
                let call = try #require(receiver.calls("/office").first)
                let id = try #require(call.headers[text: "webhook-id"])
                let time = try #require(call.headers[text: "webhook-timestamp"].flatMap { Int64($0) })
                let signatures = try #require(call.headers[text: "webhook-signature"]).split(separator: " ")
                let known = try #require(
                    WebhookSignature.header(secrets: [Desk.secret], id: id, timestamp: time, body: call.body))
                #expect(signatures.count == 2 && signatures.contains { $0 == known })

                // The day is over.
                try await desk.database.segment([
                    "UPDATE notification.channel SET previous_until = clock_timestamp() WHERE recipient_id = \(person)"
                ])
                try await desk.serving { http in
                    let token = try desk.token([.admin])
                    #expect(try await http.patch(path, json: rotate, version: 2, token: token).status == 200)
                }
            }
        }
    }

    @Test("a rotation whose answer was lost answers the same to the same key, with the secret, and rotates once")
    func lostAnswer() async throws {
        try await Desk.with { desk in
            let person = try await desk.recipient("李值班")
            try await desk.webhook(person, "https://office.example/")
            let path = try await desk.channelPath(of: person)
            let rotate = #"{"rotate_secret":true}"#
            try await desk.serving { http in
                let token = try desk.token([.admin])
                let key = UUID().uuidString
                let stale = try await http.patch(path, json: rotate, version: 7, token: token, key: key)
                #expect(stale.status == 412, "and the key is free")
                let first = try await http.patch(path, json: rotate, version: 1, token: token, key: key)
                let secret = try #require(first["secret"])
                #expect(first.status == 200 && secret.hasPrefix("whsec_") && secret != Desk.secret)
                let again = try await http.patch(path, json: rotate, version: 1, token: token, key: key)
                #expect(again.status == 200 && again["secret"] == secret && again.headers[.eTag] == "\"2\"")
                let other = try await http.patch(path, json: #"{"active":false}"#, version: 2, token: token, key: key)
                #expect(other.status == 422 && other["code"] == "idempotency_mismatch")
            }
            let once: SQL = "SELECT count(*) FROM notification.channel WHERE recipient_id = \(person) AND version = 2"
            #expect(try await desk.count(once) == 1)
        }
    }
}
