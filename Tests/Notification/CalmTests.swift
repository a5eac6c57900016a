import Foundation
import HTTPTypes
import Model
import Postgres
import Testing

@testable import NotificationService

/// What an answer to one notice means for the others of its case, and what a request without an answer leaves behind.
@Suite("What an acknowledgement stops")
struct CalmTests {
    private static func acknowledge(_ notice: Notice.ID, at desk: Desk) async throws {
        try await desk.serving { http in
            let token = try desk.token([.dispatcher])
            let answer = try await http.send(.post, "/v1/notices/\(notice)/acknowledge", [:], token: token)
            #expect(answer.status == 200 && answer["state"] == "acknowledged")
        }
    }

    @Test("clearing the inbox of a routine notice leaves the emergency that its case became to the second level")
    func routine() async throws {
        try await Desk.with { desk in
            _ = try await desk.recipient("李值班")
            let chief = try await desk.recipient("主任", level: 2)
            var snapshot = desk.emergency()
            snapshot.emergency = false
            try await desk.announce([snapshot])
            snapshot.version = 2
            snapshot.emergency = true
            try await desk.announce([snapshot])
            let old = try #require(try await desk.notices().first { $0.purpose == "routine" })
            try await Self.acknowledge(old.id, at: desk)
            try await desk.timeIsOver()
            #expect(try await desk.escalation.escalate() == 1)
            #expect(try await desk.notices().filter { $0.purpose == "escalation" }.map(\.recipient) == [chief])
        }
    }

    @Test(
        "what was told of an emergency that was over, and that it was over, says nothing about the one after it",
        arguments: ["emergency", "stood_down"])
    func earlierRound(purpose: String) async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                try await desk.webhook(try await desk.recipient("李值班"), receiver.url + "/office")
                _ = try await desk.recipient("主任", level: 2)
                var snapshot = desk.emergency()
                try await desk.announce([snapshot])
                // Only who heard of it hears that it is over.
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "delivered" ? true : nil }
                }
                for isEmergency in [false, true] {
                    snapshot.version += 1
                    snapshot.emergency = isEmergency
                    try await desk.announce([snapshot])
                }
                let old = try #require(
                    try await desk.notices().filter { $0.purpose == purpose }.min { $0.round < $1.round })
                try await Self.acknowledge(old.id, at: desk)
                try await desk.timeIsOver()
                #expect(try await desk.escalation.escalate() == 1)
            }
        }
    }

    @Test("an answer to the present round stops its clock, also after one to an older notice")
    func presentRound() async throws {
        try await Desk.with { desk in
            _ = try await desk.recipient("李值班")
            _ = try await desk.recipient("王值班")
            var snapshot = desk.emergency()
            try await desk.announce([snapshot])
            for isEmergency in [false, true] {
                snapshot.version += 1
                snapshot.emergency = isEmergency
                try await desk.announce([snapshot])
            }
            let notices = try await desk.notices().filter { $0.purpose == "emergency" }.sorted { $0.round < $1.round }
            try await Self.acknowledge(try #require(notices.first).id, at: desk)
            try await Self.acknowledge(try #require(notices.last).id, at: desk)
            try await desk.timeIsOver()
            #expect(try await desk.escalation.escalate() == 0)
        }
    }

    @Test("a key whose request found nothing is free: the same request finds nothing again", arguments: [true, false])
    func keyOfNothing(isComment: Bool) async throws {
        try await Desk.with { desk in
            try await desk.serving { http in
                let token = try desk.token([.dispatcher])
                let path = "/v1/notices/\(Notice.ID(UUID()))/\(isComment ? "comments" : "acknowledge")"
                let key = UUID().uuidString
                for _ in 0..<2 {
                    let answer = try await http.send(
                        .post, path, isComment ? ["body": "在路上"] : [:], token: token, key: key)
                    #expect(answer.status == 404)
                }
            }
            #expect(try await desk.count("SELECT count(*) FROM notification.idempotency") == 0)
        }
    }
}
