import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import NIOCore
import ServiceKit
import Testing

private struct Seen: Codable, Sendable {
    var limit: Int
    var text: String?
    var time: Timestamp?
    var number: Int?
}

/// Cursors are opaque to clients and checked by us; query parameters are read strictly.
@Suite struct ListTests {
    private let cursor = Cursor(
        "things", .text("a|b é\n"), .integer(-7), .time(Harness.start),
        .id(UUID(uuidString: "0190A6E5-0000-7000-8000-000000000001")!))
    private let kinds: [Cursor.Kind] = [.text, .integer, .time, .id]

    @Test func `a cursor says again what it was made of`() throws {
        let read = try Cursor(cursor.text, list: "things", kinds)
        #expect(read == cursor)
        #expect(read.text(0) == "a|b é\n")
        #expect(read.integer(1) == -7)
        #expect(read.time(2) == Harness.start)
        #expect(
            cursor.text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "&") && $0 != UInt8(ascii: "=") }
        )
    }

    @Test func `a cursor of another list, another form or no cursor at all is refused by name`() throws {
        let text = cursor.text
        var bad = [
            "", "x", "AAAA", "'; --", String(repeating: "A", count: 3_000), text + "A", String(text.dropLast()),
            text + "=",
        ]
        for end in stride(from: 1, to: text.count - 1, by: 3) { bad.append(String(text.prefix(end))) }
        for text in bad {
            let problem = #expect(throws: Problem.self) { try Cursor(text, list: "things", kinds) }
            #expect(problem?.fields.map(\.field) == ["cursor"])
        }
        #expect(throws: Problem.self) { try Cursor(text, list: "cases", kinds) }
        #expect(throws: Problem.self) { try Cursor(text, list: "things", [.text, .integer, .time]) }
        #expect(throws: Problem.self) { try Cursor(text, list: "things", [.text, .integer, .id, .time]) }
    }

    @Test func `a page shows whether there is another`() throws {
        let full = Page([1, 2, 3], limit: 2) { Cursor("n", .integer($0)) }
        #expect(full.items == [1, 2])
        #expect(full.next == Cursor("n", .integer(2)))
        let last = Page([1, 2], limit: 2) { Cursor("n", .integer($0)) }
        #expect(last.next == nil)
        #expect(String(decoding: try JSONEncoder().encode(last), as: UTF8.self).contains(#""next":null"#))
    }

    private func routes(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(
            &document, Operation(.get, "/v1/things", "List", access: .anyone, answers: [.ok(.any)], paged: true)
        ) { request, _ in
            let page = try request.page("things", .integer)
            let query = try request.query()
            _ = try query.word("lane", Lane.self)
            _ = try query.words("kinds", ReportKind.self)
            _ = try query.bool("open")
            _ = try query.id("district", District.self)
            _ = try query.number("lon", -180...180)
            return try Response.json(
                .ok,
                Seen(
                    limit: page.limit, text: try query.text("q", 1...5), time: try query.time("since"),
                    number: page.cursor?.integer(0)))
        }
    }

    @Test func `well-formed parameters are read`() async throws {
        try await serving(routes) { client in
            let next = Cursor("things", .integer(41)).text
            let response = try await client.execute(
                uri:
                    "/v1/things?limit=200&cursor=\(next)&q=%E6%B0%B4+a&since=2026-07-01T08:30:00%2B08:00&lane=e&kinds=hazard,request&kinds=finding&open=true&lon=-1.5",
                method: .get)
            #expect(response.status == .ok)
            let seen = try JSONDecoder().decode(Seen.self, from: Data(response.body.readableBytesView))
            #expect(seen.limit == 200)
            #expect(seen.text == "水 a")
            #expect(seen.time?.description == "2026-07-01T00:30:00.000000Z")
            #expect(seen.number == 41)
        }
    }

    @Test(arguments: [
        ("limit=0", "limit", 422), ("limit=201", "limit", 422), ("limit=ten", "limit", 422), ("limit=", "limit", 422),
        ("limit=9999999999999999999999", "limit", 422), ("limit=1&limit=2", "limit", 422), ("cursor=x", "cursor", 422),
        ("cursor=", "cursor", 422), ("q=", "q", 422), ("q=aaaaaa", "q", 422), ("q=%01", "q", 422),
        ("since=yesterday", "since", 422), ("since=2026-07-01T08:30:00+08:00", "since", 422),
        ("lane=fast", "lane", 422),
        ("kinds=hazard,x", "kinds", 422), ("open=1", "open", 422), ("district=1", "district", 422),
        ("lon=NaN", "lon", 422),
        ("lon=181", "lon", 422), ("lon=1e999", "lon", 422),
    ])
    func `a parameter that cannot be taken is named`(query: String, field: String, status: Int) async throws {
        try await serving(routes) { client in
            let response = try await client.execute(uri: "/v1/things?\(query)", method: .get)
            #expect(response.status.code == status)
            #expect(try SeenProblem(response).errors.map(\.field) == [field])
        }
    }

    @Test(arguments: ["q=%", "q=%0", "q=%zz", "q=%00", "q=%FF", "%C3=1", "q=%ED%A0%80"])
    func `a query that is broken text is malformed`(query: String) async throws {
        try await serving(routes) { client in
            let response = try await client.execute(uri: "/v1/things?\(query)", method: .get)
            #expect(response.status == .badRequest)
            #expect(try SeenProblem(response).code == "malformed")
        }
    }
}

/// `If-Match` guards decisions.
@Suite struct ETagTests {
    private func routes(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(
            &document,
            Operation(.put, "/v1/things/{id}", "Change", access: .anyone, answers: [.noContent], conditional: true)
        ) { request, _ in
            try request.requireMatch(7)
            return Response(status: .noContent, headers: .version(8))
        }
    }

    @Test(
        arguments: [
            (nil, 428, "missing"), ("\"6\"", 412, "stale"), ("\"8\"", 412, "stale"), ("7", 422, "etag"),
            ("W/\"7\"", 422, "etag"),
            ("*", 422, "etag"), ("\"\"", 422, "etag"), ("\"7\", \"8\"", 422, "etag"), ("\"-7\"", 422, "etag"),
            ("\"7\"", 204, ""),
        ] as [(String?, Int, String)])
    func `a decision needs the version that it is based on`(header: String?, status: Int, code: String) async throws {
        try await serving(routes) { client in
            var headers = HTTPFields()
            headers[.ifMatch] = header
            let response = try await client.execute(uri: "/v1/things/1", method: .put, headers: headers)
            #expect(response.status.code == status)
            if status == 204 {
                #expect(response.headers[.eTag] == "\"8\"")
            } else {
                let problem = try SeenProblem(response)
                #expect(problem.errors.map(\.field) == ["If-Match"])
                #expect(problem.errors.map(\.code) == [code])
                if status == 412 { #expect(response.headers[.eTag] == "\"7\"") }
            }
        }
    }
}
