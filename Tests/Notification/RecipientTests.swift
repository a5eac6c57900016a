import Foundation
import HTTPTypes
import HummingbirdTesting
import Model
import NIOCore
import Postgres
import ServiceKit
import Testing

@testable import NotificationService

@Suite("The people of an office")
struct RecipientTests {
    @Test("somebody is put on duty, listed with a version, and changed by it; who signs in as them follows at once")
    func change() async throws {
        try await Desk.with { desk in
            try await desk.serving { http in
                let token = try desk.token([.admin])
                let own = try desk.token([.office], account: desk.account)
                let path = "/v1/offices/\(desk.office)/recipients"
                let made = try await http.send(.post, path, json: #"{"level":1,"name":"李值班"}"#, token: token)
                #expect(made.status == 201 && made.headers[.eTag] == "\"1\"", "\(made.text)")
                let person = "\(path)/\(try #require(made["id"]))"
                try await desk.announce([desk.emergency()])
                #expect(try await http.send(.get, "/v1/notices", token: own).count("items") == 0)

                let change = #"{"name":"王值班","level":2,"language":"en","account_id":"\#(desk.account)"}"#
                let blind = try await http.send(.patch, person, json: change, token: token)
                #expect(blind.status == 428)
                let changed = try await http.send(.patch, person, json: change, version: 1, token: token)
                #expect(changed.status == 200 && changed.headers[.eTag] == "\"2\"", "\(changed.text)")
                #expect(changed["name"] == "王值班" && changed["language"] == "en")
                #expect(changed["account_id"] == "\(desk.account)")
                let stale = try await http.send(.patch, person, json: #"{"level":1}"#, version: 1, token: token)
                #expect(stale.status == 412 && stale.headers[.eTag] == "\"2\"")
                #expect(try await http.send(.get, "/v1/notices", token: own).count("items") == 1)

                let list = try await http.send(.get, path, token: own)
                #expect(list.count("items") == 1)
                #expect(list.text.contains(#""version":2"#) && list.text.contains(#""level":2"#), "\(list.text)")
                let off = try await http.send(.patch, person, json: #"{"active":false}"#, version: 2, token: token)
                #expect(off.status == 200, "\(off.text)")
                #expect(try await http.send(.get, "/v1/notices", token: own).count("items") == 0)
                #expect(try await http.send(.get, path, token: token).count("items") == 1, "for the record")
            }
        }
    }

    @Test("the list of an office's people is paged by cursors")
    func pages() async throws {
        try await Desk.with { desk in
            for number in 1...3 { _ = try await desk.recipient("值班\(number)") }
            try await desk.serving { http in
                let token = try desk.token([.dispatcher])
                let path = "/v1/offices/\(desk.office)/recipients?limit=2"
                let first = try await http.send(.get, path, token: token)
                let next = try #require(first["next"])
                let second = try await http.send(.get, "\(path)&cursor=\(next)", token: token)
                #expect(first.count("items") == 2 && second.count("items") == 1 && second["next"] == nil)
            }
        }
    }

    @Test("what is on its way to somebody taken off duty is withdrawn and their links end, and nobody else's")
    func offDuty() async throws {
        try await Desk.with { desk in
            let leaving = try await desk.recipient("李值班")
            let staying = try await desk.recipient("王值班")
            let chief = try await desk.recipient("主任", level: 2)
            for person in [leaving, staying] { try await desk.webhook(person, "https://office.example/\(person)") }
            try await desk.announce([desk.emergency()])
            let told = try await desk.notices()
            let lost = try await desk.link(try #require(told.first { $0.recipient == leaving }).id)
            let kept = try await desk.link(try #require(told.first { $0.recipient == staying }).id)
            try await desk.serving { http in
                func open(_ link: (kid: String, token: String)) async throws -> Caller.Answer {
                    try await http.send(.post, "/a/view", ["kid": link.kid, "token": link.token])
                }
                let path = "/v1/offices/\(desk.office)/recipients/\(leaving)"
                let token = try desk.token([.admin])
                let stale = try await http.send(.patch, path, json: #"{"active":false}"#, version: 7, token: token)
                #expect(stale.status == 412)
                #expect(try await desk.deliveries() == ["webhook waiting", "webhook waiting"])
                #expect(try await open(lost).status == 200)

                let off = try await http.send(.patch, path, json: #"{"active":false}"#, version: 1, token: token)
                #expect(off.status == 200, "\(off.text)")
                #expect(try await desk.deliveries().sorted() == ["webhook waiting", "webhook withdrawn"])
                let ended = try await open(lost)
                #expect(ended.status == 410 && ended["code"] == "link_withdrawn")
                #expect(try await open(kept).status == 200)
                let after = try await desk.notices()
                #expect(after.first { $0.recipient == leaving }?.state == "failed", "it can reach nobody")
                #expect(after.first { $0.recipient == staying }?.state == "pending")

                // Back on duty: told of what comes, and what was taken back stays so.
                let back = try await http.send(.patch, path, json: #"{"active":true}"#, version: 2, token: token)
                #expect(back.status == 200)
                #expect(try await open(lost).status == 410)
            }
            // Nobody acknowledged: the clock of who has left still tells the second level.
            try await desk.timeIsOver()
            #expect(try await desk.escalation.escalate() == 2)
            let escalated = try await desk.notices().filter { $0.purpose == "escalation" }
            #expect(escalated.map(\.recipient) == [chief])
        }
    }

    @Test("a notice that was made in the moment when somebody went off duty is not sent to them")
    func moment() async throws {
        try await Receiver.with { receiver in
            try await Desk.with(receiver.listed) { desk in
                let person = try await desk.recipient("李值班")
                try await desk.webhook(person, receiver.url + "/office")
                try await desk.announce([desk.emergency()])
                try await desk.database.segment([
                    "UPDATE notification.recipient SET active = false WHERE recipient_id = \(person)"
                ])
                try await desk.sending {
                    try await eventually { try await desk.notices().first?.state == "failed" ? true : nil }
                }
                #expect(
                    try await desk.deliveries() == ["webhook failed, refused: the recipient is not on duty any more"])
                #expect(receiver.calls("/office").isEmpty)
            }
        }
    }

    @Test("people of another district's or another office's path are not found, and only administrators change them")
    func scope() async throws {
        try await Desk.with { desk in
            let person = try await desk.recipient("李值班")
            let path = "/v1/offices/\(desk.office)/recipients"
            try await desk.serving { http in
                let stranger = try desk.token([.admin], district: desk.otherDistrict)
                let off = #"{"active":false}"#
                #expect(try await http.send(.get, path, token: stranger).status == 404)
                let changed = try await http.send(.patch, "\(path)/\(person)", json: off, version: 1, token: stranger)
                #expect(changed.status == 404)
                let admin = try desk.token([.admin])
                let elsewhere = "/v1/offices/\(UUID().uuidString.lowercased())/recipients/\(person)"
                #expect(try await http.send(.patch, elsewhere, json: off, version: 1, token: admin).status == 404)
                for role in [Role.dispatcher, .manager, .office] {
                    let answer = try await http.send(
                        .patch, "\(path)/\(person)", json: off, version: 1, token: try desk.token([role]))
                    #expect(answer.status == 403, "\(role)")
                }
                for (body, field) in [
                    (#"{"level":3}"#, "level"), (#"{"name":""}"#, "name"), (#"{"language":"fr"}"#, "language"),
                ] {
                    let answer = try await http.send(.patch, "\(path)/\(person)", json: body, version: 1, token: admin)
                    #expect(answer.status == 422 && answer.text.contains(#""field":"\#(field)""#), "\(answer.text)")
                }
            }
            #expect(
                try await desk.count("SELECT count(*) FROM notification.recipient WHERE NOT active OR version > 1") == 0
            )
        }
    }

    @Test("every route is described, and every description has a route")
    func document() async throws {
        try await Desk.with { desk in
            let (router, document) = desk.service.routes()
            #expect(document.differences(from: router) == [])
        }
    }
}

extension Caller {
    /// A body that is not all texts, based on a version.
    fileprivate func send(
        _ method: HTTPRequest.Method, _ path: String, json: String, version: Int? = nil, token: String
    ) async throws -> Answer {
        var headers: HTTPFields = [.authorization: "Bearer \(token)", .contentType: "application/json"]
        headers[.idempotencyKey] = UUID().uuidString
        if let version { headers[.ifMatch] = "\"\(version)\"" }
        return try await client.execute(uri: path, method: method, headers: headers, body: ByteBuffer(string: json)) {
            Answer(status: $0.status.code, text: String(buffer: $0.body), headers: $0.headers)
        }
    }
}
