import Foundation
import HTTPTypes
import Model
import Postgres
import Testing

@testable import NotificationService

@Suite("Answers to notices")
struct AnsweringTests {
    @Test("nobody answers in time: the second level is told, once, and the first notices show it")
    func escalation() async throws {
        try await Desk.with { desk in
            let first = [try await desk.recipient("李值班"), try await desk.recipient("王值班")]
            let chief = try await desk.recipient("主任", level: 2)
            try await desk.announce([desk.emergency()])
            #expect(try await desk.escalation.escalate() == 0)
            try await desk.timeIsOver()
            #expect(try await desk.escalation.escalate() == 2)
            #expect(try await desk.escalation.escalate() == 0)
            let notices = try await desk.notices()
            #expect(Set(notices.filter { $0.state == "escalated" }.map(\.recipient)) == Set(first))
            #expect(notices.filter { $0.purpose == "escalation" }.map(\.recipient) == [chief])
        }
    }

    @Test("one answer is enough: nobody is told on the second level")
    func oneIsEnough() async throws {
        try await Desk.with { desk in
            _ = try await desk.recipient("李值班", account: desk.account)
            _ = try await desk.recipient("王值班")
            _ = try await desk.recipient("主任", level: 2)
            try await desk.announce([desk.emergency()])
            let notice = try #require(try await desk.notices().first)
            try await desk.serving { http in
                let token = try desk.token([.office], account: desk.account)
                let answer = try await http.send(.post, "/v1/notices/\(notice.id)/acknowledge", [:], token: token)
                #expect(answer.status == 200 && answer["state"] == "acknowledged")
            }
            try await desk.timeIsOver()
            #expect(try await desk.escalation.escalate() == 0)
        }
    }

    @Test("looking at a link, however often and by whatever machine, acknowledges nothing; a named person does, once")
    func link() async throws {
        try await Desk.with { desk in
            _ = try await desk.recipient("李值班")
            try await desk.announce([desk.emergency()])
            let notice = try #require(try await desk.notices().first).id
            let (kid, token) = try await desk.link(notice)
            try await desk.serving { http in
                for method in [HTTPRequest.Method.get, .head, .get, .options] {
                    let page = try await http.send(method, "/a/\(kid)")
                    #expect(!page.text.contains("road_collapse"))
                }
                let page = try await http.send(.get, "/a/\(kid)")
                #expect(page.headers[text: "Referrer-Policy"] == "no-referrer")
                #expect(page.headers[.cacheControl] == "no-store")
                for path in ["/a/view", "/a/view"] {
                    #expect(try await http.send(.post, path, ["kid": kid, "token": token]).status == 200)
                }
                // A scanner that fills in forms has no name to give.
                let nameless = try await http.send(.post, "/a/acknowledge", ["kid": kid, "token": token])
                #expect(nameless.status == 422)
                #expect(try await desk.notices().map(\.state) == ["delivered"], "in the inbox only")

                let named = ["kid": kid, "token": token, "name": "李值班"]
                let done = try await http.send(.post, "/a/acknowledge", named)
                #expect(done.status == 200 && done["state"] == "acknowledged")
                let again = try await http.send(.post, "/a/acknowledge", named.merging(["name": "别人"]) { $1 })
                #expect(again.status == 200 && again["acknowledged_at"] == done["acknowledged_at"])
                let shown = try await http.send(.post, "/a/view", ["kid": kid, "token": token])
                #expect(shown["acknowledged_name"] == "李值班")

                let comment = try await http.send(.post, "/a/comments", named.merging(["body": "已围蔽"]) { $1 })
                #expect(comment.status == 201)
                #expect(try await http.send(.post, "/a/view", ["kid": kid, "token": token]).count("comments") == 1)
            }
            #expect(
                try await desk.count(
                    "SELECT count(*) FROM notification.history WHERE type = 'notice.acknowledged.v1'") == 1)
        }
    }

    @Test("a comment by a link that is sent twice, even at once, is stored once; other words need another key")
    func doubleClick() async throws {
        try await Desk.with { desk in
            _ = try await desk.recipient("李值班")
            try await desk.announce([desk.emergency()])
            let (kid, token) = try await desk.link(try #require(try await desk.notices().first).id)
            try await desk.serving { http in
                let words = ["kid": kid, "token": token, "name": "李值班", "body": "已围蔽"]
                let key = UUID().uuidString
                async let first = http.send(.post, "/a/comments", words, key: key)
                async let second = http.send(.post, "/a/comments", words, key: key)
                let both = try await [first, second]
                #expect(both.map(\.status) == [201, 201])
                #expect(both[0]["id"] == both[1]["id"])
                #expect(try await http.send(.post, "/a/view", ["kid": kid, "token": token]).count("comments") == 1)

                let other = try await http.send(.post, "/a/comments", words.merging(["body": "改口"]) { $1 }, key: key)
                #expect(other.status == 422 && other["code"] == "idempotency_mismatch")
                let short = try await http.send(.post, "/a/comments", words, key: "x")
                #expect(short.status == 400)
                // Meant twice is stored twice.
                #expect(try await http.send(.post, "/a/comments", words).status == 201)
                #expect(try await http.send(.post, "/a/view", ["kid": kid, "token": token]).count("comments") == 2)
            }
            #expect(
                try await desk.count("SELECT count(*) FROM notification.history WHERE type = 'notice.commented.v1'")
                    == 2)
        }
    }

    @Test("a forged token, another link's token and an unknown link look alike; expired and withdrawn links say so")
    func badLinks() async throws {
        try await Desk.with { desk in
            _ = try await desk.recipient("李值班")
            let over = desk.emergency()
            try await desk.announce([over])
            try await desk.announce([desk.emergency()], linkLife: .seconds(-1))
            let notices = try await desk.notices()
            let (kid, token) = try await desk.link(notices[0].id)
            let expired = try await desk.link(notices[1].id)
            try await desk.serving { http in
                func open(_ kid: String, _ token: String) async throws -> Int {
                    let view = try await http.send(.post, "/a/view", ["kid": kid, "token": token])
                    let act = try await http.send(.post, "/a/acknowledge", ["kid": kid, "token": token, "name": "x"])
                    #expect(view.status == act.status)
                    return act.status
                }
                #expect(try await open(kid, expired.token) == 404)
                #expect(try await open(kid, (token.first == "A" ? "B" : "A") + token.dropFirst()) == 404)
                #expect(try await open("AAAAAAAAAAAAAAAAAAAAAAAA", token) == 404)
                #expect(try await open(expired.kid, expired.token) == 410)
                var closed = over
                closed.version = 2
                closed.state = .closed
                try await desk.announce([closed])
                #expect(try await open(kid, token) == 410)
            }
            #expect(try await desk.notices().allSatisfy { $0.state != "acknowledged" })
        }
    }

    @Test("another district's and another office's people find no such notice")
    func scope() async throws {
        try await Desk.with { desk in
            _ = try await desk.recipient("李值班", account: desk.account)
            try await desk.announce([desk.emergency()])
            let notice = try #require(try await desk.notices().first).id
            try await desk.serving { http in
                let strangers = [
                    try desk.token([.dispatcher], district: desk.otherDistrict),
                    try desk.token([.office], account: desk.account, district: desk.otherDistrict),
                    // In the district, but on duty in no office of it.
                    try desk.token([.office]),
                ]
                for token in strangers {
                    #expect(try await http.send(.get, "/v1/notices", token: token).count("items") == 0)
                    #expect(try await http.send(.get, "/v1/notices/\(notice)", token: token).status == 404)
                    for (act, body) in [("acknowledge", [:]), ("comments", ["body": "x"])] {
                        let answer = try await http.send(.post, "/v1/notices/\(notice)/\(act)", body, token: token)
                        #expect(answer.status == 404, "\(act)")
                    }
                }
                let own = try desk.token([.office], account: desk.account)
                #expect(try await http.send(.get, "/v1/notices", token: own).count("items") == 1)
                let comment = try await http.send(.post, "/v1/notices/\(notice)/comments", ["body": "在路上"], token: own)
                #expect(comment.status == 201)
                #expect(try await http.send(.get, "/v1/notices/\(notice)", token: own).count("comments") == 1)
            }
        }
    }
}
