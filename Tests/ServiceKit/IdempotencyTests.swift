import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import Postgres
import ServiceKit
import Testing

/// The migration that every service's schema is made with, on a database of the test's own.
private func schema() throws -> String {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Shared/Schema/migrations/0003_http.sql")
    return """
        CREATE SCHEMA sluice;
        CREATE SCHEMA intake;
        \(try String(contentsOf: file, encoding: .utf8))
        SELECT sluice.create_idempotency('intake');
        CREATE TABLE intake.thing (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL UNIQUE);
        """
}

private struct Made: Codable, Sendable {
    var secret: String
}

/// A POST that is sent again does its work once, and everybody who sends it gets the one answer.
@Suite struct IdempotencyTests {
    /// Inserts a thing; a decision or a segment, as the path says. The name `fail` breaks it after the claim.
    private func routes(
        _ database: PostgresClient
    ) -> (Router<APIContext>, inout OpenAPIDocument) -> Void {
        { router, document in
            router.add(
                &document,
                Operation(
                    .post, "/v1/segments", "By segment", access: .anyone, answers: [.created(.any)], idempotent: true)
            ) { request, context in
                let body = try await request.jsonBody()
                let name: String = try body.decode([String: String].self)["name"] ?? ""
                let key = try Idempotency.read(request, context, body: body.bytes)
                return try await Idempotency.once(key, using: database) {
                    let answer = try StoredResponse(
                        .created, headers: .version(1), json: Made(secret: "tracking-\(UUID())"))
                    _ = try await database.segment([
                        key.claim(answer), "INSERT INTO intake.thing (name) VALUES (\(name == "fail" ? nil : name))",
                    ])
                    return answer.response
                }
            }
            router.add(
                &document,
                Operation(
                    .post, "/v1/decisions", "By decision", access: .anyone, answers: [.created(.any)], idempotent: true)
            ) { request, context in
                let body = try await request.jsonBody()
                let name: String = try body.decode([String: String].self)["name"] ?? ""
                let key = try Idempotency.read(request, context, body: body.bytes)
                return try await Idempotency.once(key, using: database) {
                    try await database.transaction { transaction in
                        let rows = try await transaction.send([key.claim, "SELECT count(*) FROM intake.thing"])
                        let count = try rows[1][0].decode(0, as: Int.self)
                        if name == "refused" { throw Problem.conflict("no", zh: "否") }
                        let answer = try StoredResponse(.created, json: Made(secret: "count-\(count)-\(UUID())"))
                        _ = try await transaction.commit([
                            "INSERT INTO intake.thing (name) VALUES (\(name))", key.complete(answer),
                        ])
                        return answer.response
                    }
                }
            }
        }
    }

    private func send(
        _ client: any TestClientProtocol, _ path: String, key: String?, body: String, device: String? = device
    ) async throws -> TestResponse {
        var headers: HTTPFields = [.contentType: "application/json"]
        headers[.idempotencyKey] = key
        headers[.sluiceDevice] = device
        return try await client.execute(uri: path, method: .post, headers: headers, body: .text(body))
    }

    private func things(_ database: PostgresClient) async throws -> Int {
        try await database.query("SELECT count(*) FROM intake.thing")[0].decode(0)
    }

    @Test(arguments: ["/v1/segments", "/v1/decisions"])
    func `the same request again gives the first answer and does nothing`(path: String) async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                let first = try await send(client, path, key: "key-0001", body: #"{"name": "a"}"#)
                #expect(first.status == .created)
                #expect(first.headers[HTTPField.Name("Idempotent-Replayed")!] == nil)
                let second = try await send(client, path, key: "key-0001", body: #"{"name": "a"}"#)
                #expect(second.status == .created)
                #expect(second.text == first.text)
                #expect(second.headers[.eTag] == first.headers[.eTag])
                #expect(second.headers[.contentType] == first.headers[.contentType])
                #expect(second.headers[HTTPField.Name("Idempotent-Replayed")!] == "true")
            }
            #expect(try await things(database) == 1)
        }
    }

    @Test func `another body under the same key is 422, also when only a blank differs`() async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                _ = try await send(client, "/v1/segments", key: "key-0001", body: #"{"name": "a"}"#)
                let other = try await send(client, "/v1/segments", key: "key-0001", body: #"{"name":"a"}"#)
                #expect(other.status == .unprocessableContent)
                #expect(try SeenProblem(other).code == "idempotency_mismatch")
                #expect(try SeenProblem(other).errors.map(\.field) == ["Idempotency-Key"])
            }
            #expect(try await things(database) == 1)
        }
    }

    @Test func `a key is one sender's, for one path`() async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                let other = String(repeating: "e", count: 22)
                let first = try await send(client, "/v1/segments", key: "key-0001", body: #"{"name": "a"}"#)
                let second = try await send(
                    client, "/v1/segments", key: "key-0001", body: #"{"name": "b"}"#, device: other)
                let third = try await send(client, "/v1/decisions", key: "key-0001", body: #"{"name": "c"}"#)
                #expect([first, second, third].map(\.status) == [.created, .created, .created])
            }
            #expect(try await things(database) == 3)
        }
    }

    @Test(arguments: ["/v1/segments", "/v1/decisions"])
    func `equal requests at once do the work once and all get its answer`(path: String) async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                let answers = try await withThrowingTaskGroup(of: (HTTPResponse.Status, String).self) { group in
                    for _ in 0..<24 {
                        group.addTask {
                            let response = try await send(client, path, key: "key-0001", body: #"{"name": "a"}"#)
                            return (response.status, response.text)
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.map(\.0) == [HTTPResponse.Status](repeating: .created, count: 24))
                #expect(Set(answers.map(\.1)).count == 1)
            }
            #expect(try await things(database) == 1)
        }
    }

    @Test func `what failed is not kept, so that it can be tried again`() async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                for _ in 0..<2 {
                    let broken = try await send(client, "/v1/segments", key: "key-0001", body: #"{"name": "fail"}"#)
                    #expect(broken.status == .internalServerError)
                    let refused = try await send(
                        client, "/v1/decisions", key: "key-0002", body: #"{"name": "refused"}"#)
                    #expect(refused.status == .conflict)
                }
            }
            #expect(try await database.query("SELECT count(*) FROM intake.idempotency")[0].decode(0, as: Int.self) == 0)
        }
    }

    @Test(arguments: [nil, "", "short", "has blanks in it", String(repeating: "a", count: 201), "schlüssel-1"])
    func `a key that is missing or none is refused by name`(key: String?) async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                let response = try await send(client, "/v1/segments", key: key, body: #"{"name": "a"}"#)
                #expect(response.status == .badRequest)
                #expect(try SeenProblem(response).errors.map(\.field) == ["Idempotency-Key"])
            }
            #expect(try await things(database) == 0)
        }
    }

    @Test func `somebody without account and device has no key of their own`() async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                let response = try await send(
                    client, "/v1/segments", key: "key-0001", body: #"{"name": "a"}"#, device: nil)
                #expect(try SeenProblem(response).errors.map(\.field) == ["Sluice-Device"])
            }
        }
    }

    @Test func `the table shows neither answer nor key nor sender`() async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                let response = try await send(client, "/v1/segments", key: "key-0001", body: #"{"name": "a"}"#)
                #expect(response.text.contains("tracking-"))
            }
            let row = try await database.query(
                "SELECT encode(answer, 'escape') || encode(key_hash, 'escape') FROM intake.idempotency")
            let text = try row[0].decode(0, as: String.self)
            #expect(!text.contains("tracking"))
            #expect(!text.contains("created") && !text.contains("key-0001") && !text.contains(device))
        }
    }

    @Test func `keys are forgotten after seven days and not before`() async throws {
        try await withDatabase(try schema()) { database in
            try await serving(routes(database)) { client in
                for key in ["key-0001", "key-0002"] {
                    _ = try await send(client, "/v1/segments", key: key, body: #"{"name": "\#(key)"}"#)
                }
            }
            _ = try await database.query(
                """
                UPDATE intake.idempotency SET created_at = created_at - interval '7 days 1 second'
                WHERE ctid = (SELECT min(ctid) FROM intake.idempotency)
                """)
            #expect(try await database.query("SELECT intake.idempotency_purge()")[0].decode(0, as: Int.self) == 1)
            #expect(try await database.query("SELECT intake.idempotency_purge()")[0].decode(0, as: Int.self) == 0)
        }
    }
}
