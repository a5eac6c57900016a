import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import NIOCore
import ServiceKit
import Testing

/// The document says what the routes do, neither more nor less.
@Suite struct OpenAPITests {
    private func made() -> (Router<APIContext>, OpenAPIDocument) {
        let router = Router(context: APIContext.self)
        var document = OpenAPIDocument(service: .dispatch, title: "Dispatch", summary: "Cases and orders")
        let item = document.define(
            "Thing",
            .object([
                .init("id", .uuid), .init("kind", .word(ReportKind.self)),
                .init("note", .nullable(.text(0...9)), required: false),
            ]))
        router.add(
            &document,
            Operation(
                .get, "/v1/things", "List", access: .roles(.dispatcher), answers: [.ok(.page(of: item))], paged: true)
        ) { _, _ in "" }
        router.add(
            &document,
            Operation(
                .post, "/v1/things/{id}/close", "Close", access: .signedIn,
                body: .json(.object([.init("place", .coordinate)])),
                answers: [.ok(item, versioned: true)], idempotent: true, conditional: true)
        ) { _, _ in "" }
        return (router, document)
    }

    private func json(_ document: OpenAPIDocument) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(document.json())) as? [String: Any])
    }

    @Test func `routes and descriptions that were added together agree`() {
        let (router, document) = made()
        #expect(document.differences(from: router) == [])
    }

    @Test func `a route without description and a description without route are found`() {
        var (router, document) = made()
        router.get("/v1/secret") { _, _ in "" }
        document.append(
            Operation(.delete, "/v1/things/{id}", "Gone", access: .anyone, answers: [.ok(.reference("Nothing"))]))
        #expect(
            document.differences(from: router) == [
                "GET /v1/secret has no description", "DELETE /v1/things/{id} has no handler",
                "schema Nothing is not defined",
            ])
    }

    @Test func `the document names everything that a client must send`() throws {
        let root = try json(made().1)
        #expect(root["openapi"] as? String == "3.1.0")
        let paths = try #require(root["paths"] as? [String: [String: [String: Any]]])
        let close = try #require(paths["/v1/things/{id}/close"]?["post"])
        let parameters = try #require(close["parameters"] as? [[String: Any]])
        #expect(parameters.compactMap { $0["name"] as? String } == ["id", "Idempotency-Key", "If-Match"])
        #expect(parameters.allSatisfy { $0["required"] as? Bool == true })
        let responses = try #require(close["responses"] as? [String: Any])
        #expect(
            Set(responses.keys) == [
                "200", "400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "429", "500", "503",
                "default",
            ])
        #expect((close["security"] as? [[String: Any]])?.count == 2)
        let list = try #require(paths["/v1/things"]?["get"])
        #expect((list["parameters"] as? [[String: Any]])?.compactMap { $0["name"] as? String } == ["limit", "cursor"])
        #expect(list["x-roles"] as? [String] == ["dispatcher"])
        #expect(list["tags"] as? [String] == ["things"])
    }

    @Test func `a field that is not required may be null, as it may in what is read`() throws {
        let root = try json(made().1)
        let schemas = try #require((root["components"] as? [String: [String: [String: Any]]])?["schemas"])
        let fields = try #require(schemas["Thing"]?["properties"] as? [String: [String: Any]])
        #expect(fields["id"]?["type"] as? String == "string")
        #expect((fields["note"]?["anyOf"] as? [[String: Any]])?.contains { $0["type"] as? String == "null" } == true)
        #expect(try JSONBody(Array(#"{"name": null}"#.utf8)).decode([String: String?].self) == ["name": nil])
    }

    @Test func `every reference leads somewhere`() throws {
        let document = made().1
        let root = try json(document)
        let text = String(decoding: document.json(), as: UTF8.self)
        let components = try #require(root["components"] as? [String: [String: Any]])
        for match in text.matches(of: /"\$ref":"#\/components\/([A-Za-z]+)\/([A-Za-z]+)"/) {
            #expect(components[String(match.1)]?[String(match.2)] != nil, "\(match.0)")
        }
    }

    @Test func `the document is served, to anybody`() async throws {
        try await serving(noRoutes) { client in
            let response = try await client.execute(uri: "/intake/openapi.json", method: .get)
            #expect(response.status == .ok)
            #expect(response.headers[.contentType] == "application/json")
            #expect(response.text.hasPrefix(#"{"openapi":"3.1.0""#))
        }
    }

    @Test func `texts in the document are escaped`() throws {
        var document = OpenAPIDocument(service: .intake, title: "\"quoted\" \\ \u{1} é 水\n", summary: "s")
        document.append(Operation(.get, "/v1/a", "b", access: .anyone, answers: [.noContent]))
        let information = try #require(try json(document)["info"] as? [String: Any])
        #expect(information["title"] as? String == "\"quoted\" \\ \u{1} é 水\n")
    }

    // MARK: Conformance of answers

    private func violations(_ body: String, status: HTTPResponse.Status = .ok, type: String = "application/json")
        -> [String]
    {
        made().1.violations(.get, "/v1/things", status: status, contentType: type, body: Array(body.utf8))
    }

    @Test func `an answer that is as described has nothing to complain of`() {
        let id = UUID().uuidString
        #expect(violations(#"{"items": [{"id": "\#(id)", "kind": "hazard"}], "next": null}"#) == [])
        #expect(violations(#"{"items": [{"id": "\#(id)", "kind": "hazard", "note": null}], "next": "x"}"#) == [])
    }

    @Test(arguments: [
        (#"{"items": []}"#, "GET /v1/things 200.next is missing"),
        (#"{"items": [], "next": 1}"#, "GET /v1/things 200.next: a string is described, a number was sent"),
        (#"{"items": [], "next": null, "total": 3}"#, "GET /v1/things 200.total is not described"),
        (
            #"{"items": [{"id": "x", "kind": "odd"}], "next": null}"#,
            "GET /v1/things 200.items[0].kind is a word that is not described"
        ),
        ("oops", "GET /v1/things 200: the body is not JSON"),
    ])
    func `an answer that is not as described is found out`(body: String, complaint: String) {
        #expect(violations(body) == [complaint])
    }

    @Test func `an answer of another status or type is found out`() {
        #expect(violations("{}", status: .created) == ["GET /v1/things 201 is not described"])
        #expect(
            violations("<p>", type: "text/html") == ["GET /v1/things 200: the content type text/html is not described"])
        let problem = String(buffer: ByteBuffer(bytes: []))
        #expect(violations(problem, status: .notFound, type: "application/problem+json").count == 1)
    }

    @Test func `the problems that we make are as described`() async throws {
        let document = made().1
        try await serving(noRoutes) { client in
            let response = try await client.execute(uri: "/v1/things", method: .get)
            #expect(
                document.violations(
                    .get, "/v1/things", status: response.status, contentType: response.headers[.contentType],
                    body: Array(response.body.readableBytesView)) == [])
        }
    }
}
