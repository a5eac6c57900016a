import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import NIOCore
import ServiceKit
import Testing

private struct Place: Decodable {
    var lon: Double
    var lat: Double
}

private struct Step: Decodable {
    var at: Timestamp
    var count: Int8?
}

private struct Body: Codable {
    var name: String?
    var kind: ReportKind?
    var id: UUID?
}

private struct Input: Decodable {
    var name: String
    var kind: ReportKind?
    var id: UUID?
    var place: Place?
    var steps: [Step]?
    var labels: [String: Int]?
}

/// What is sent is either understood in full or refused with the path of what is wrong.
@Suite struct JSONBodyTests {
    private func read(_ text: String) throws -> Input { try JSONBody(Array(text.utf8)).decode(Input.self) }

    private func problem(_ text: String) throws -> Problem {
        do {
            _ = try read(text)
        } catch let problem as Problem {
            return problem
        }
        throw TestFailure("it was accepted: \(text.prefix(60))")
    }

    @Test func `a well-formed body is decoded`() throws {
        let input = try read(
            #"""
            { "name": "a\"\\\/\b\f\n\r\té😀\ud83d\ude00", "kind": "hazard", "id": "0190A6E5-0000-7000-8000-000000000001",
              "place": {"lon": 114.05, "lat": -2.255e1}, "steps": [{"at": "2026-07-01T08:30:00+08:00", "count": 2.0},
              {"at": "2026-07-01T00:30:00Z"}], "labels": {"x": 1, "y": -0} }
            """#)
        #expect(input.name == "a\"\\/\u{8}\u{C}\n\r\té😀😀")
        #expect(input.kind == .hazard)
        #expect(input.place?.lat == -22.55)
        #expect(input.steps?.map(\.count) == [2, nil])
        #expect(input.steps?[0].at == input.steps?[1].at)
        #expect(input.labels == ["x": 1, "y": 0])
    }

    @Test(arguments: [
        (#"{}"#, "name", "missing"),
        (#"{"name": 7}"#, "name", "type"),
        (#"{"name": null}"#, "name", "type"),
        (#"{"name": "a", "nmae": 1}"#, "nmae", "unknown_field"),
        (#"{"name": "a", "place": {"lon": 1, "lat": 2, "alt": 3}}"#, "place.alt", "unknown_field"),
        (#"{"name": "a", "steps": [{"at": "2026-07-01T00:00:00Z"}, {"at": "yesterday"}]}"#, "steps[1].at", "time"),
        (#"{"name": "a", "steps": [{"at": "2026-02-30T00:00:00Z"}]}"#, "steps[0].at", "time"),
        (#"{"name": "a", "steps": [{"at": "2026-07-01T00:00:00Z", "count": 300}]}"#, "steps[0].count", "integer"),
        (#"{"name": "a", "steps": [{"at": "2026-07-01T00:00:00Z", "count": 1.5}]}"#, "steps[0].count", "integer"),
        (#"{"name": "a", "place": {"lon": 1e999, "lat": 2}}"#, "place.lon", "range"),
        (#"{"name": "a", "kind": "hazzard"}"#, "kind", "not_allowed"),
        (#"{"name": "a", "id": "'; DROP TABLE report; --"}"#, "id", "uuid"),
        (#"{"name": "a", "steps": {}}"#, "steps", "type"),
        (#"{"name": "a", "labels": {"x": "1"}}"#, "labels.x", "type"),
        (#"[]"#, "", "type"),
        (#""name""#, "", "type"),
    ])
    func `a field that cannot be taken is named`(text: String, field: String, code: String) throws {
        let problem = try problem(text)
        #expect(problem.status == .unprocessableContent)
        #expect(problem.fields.map(\.field) == [field])
        #expect(problem.fields.map(\.code) == [code])
        #expect(problem.fields.allSatisfy { !$0.detail.isEmpty && !$0.detailZH.isEmpty })
        #expect(!problem.fields.contains { $0.detail.contains("DROP") || $0.detail.contains("hazzard") })
    }

    @Test func `the words that would have been accepted are listed`() throws {
        let problem = try problem(#"{"name": "a", "kind": "hazzard"}"#)
        #expect(problem.fields[0].allowed == ReportKind.allCases.map(\.rawValue))
    }

    @Test func `all unknown fields are named at once`() throws {
        let problem = try problem(#"{"name": "a", "x": 1, "y": {"name": 2}, "place": {"lon": 1, "lat": 2, "z": 0}}"#)
        #expect(problem.fields.map(\.field) == ["x", "y", "place.z"])
    }

    @Test(arguments: [
        "", "   ", "{", "}", "{]", #"{"name"}"#, #"{"name":}"#, #"{"name": "a",}"#, #"{"name": 'a'}"#,
        #"{"name": "a"} x"#,
        #"{"name": "a" "kind": 1}"#, #"{name: "a"}"#, "nul", "tru", "+1", "01", "1.", ".5", "1e", "-", "--1", "NaN",
        "Infinity",
        #""\x""#, #""\u12""#, #""\u+123""#, "\"a\nb\"", #"{"name": "abc"#, "[1,]", "[,1]", "[1 2]", "\u{FEFF}",
    ])
    func `what is not JSON is refused as malformed`(text: String) throws {
        let problem = try problem(text)
        #expect(problem.status == .badRequest)
        #expect(problem.code == "malformed")
    }

    @Test(arguments: [
        (#"{"name": "a\u0000b"}"#, "zero_character"),
        (#"{"name": "\ud800"}"#, "surrogate"),
        (#"{"name": "\udc00"}"#, "surrogate"),
        (#"{"name": "\ud800\u0041"}"#, "surrogate"),
        (#"{"name": "a", "name": "b"}"#, "duplicate"),
        (#"{"name": "a", "n\u0061me": "b"}"#, "duplicate"),
    ])
    func `text that could not be stored or read again is refused`(text: String, code: String) throws {
        let problem = try problem(text)
        #expect(problem.status == .badRequest)
        #expect(problem.fields.map(\.field) == ["name"])
        #expect(problem.fields.map(\.code) == [code])
    }

    @Test(
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0x80]]
            as [[UInt8]])
    func `broken UTF-8 is refused with the field's name`(bytes: [UInt8]) throws {
        let body = Array(#"{"name": ""#.utf8) + bytes + Array(#""}"#.utf8)
        let problem = #expect(throws: Problem.self) { try JSONBody(body) }
        #expect(problem?.status == .badRequest)
        #expect(problem?.fields.map(\.field) == ["name"])
        #expect(problem?.fields.map(\.code) == ["utf8"])
    }

    @Test(arguments: ["[", "{\"a\":", "[[{\"b\":"])
    func `nesting beyond 32 levels is refused however deep it goes`(opening: String) throws {
        let problem = try problem(String(repeating: opening, count: 200_000))
        #expect(problem.status == .badRequest)
        #expect(problem.detail.contains("32"))
    }

    @Test func `32 levels are read`() throws {
        let text = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
        #expect(throws: Never.self) { try JSONBody(Array(text.utf8)) }
        #expect(throws: Problem.self) { try JSONBody(Array("[\(text)]".utf8)) }
    }

    @Test func `a body of countless small values is refused`() throws {
        let problem = try problem("[" + String(repeating: "0,", count: 200_000) + "0]")
        #expect(problem.fields.map(\.code) == ["too_many_values"])
    }

    @Test func `every way to cut a body short is refused and none is fatal`() throws {
        let text = Array(#"{"name":"é\ud83d\ude00\n","place":{"lon":-1.5e+2,"lat":2},"steps":[true,false,null]}"#.utf8)
        #expect(throws: Never.self) { try JSONBody(text) }
        for end in 0..<text.count { #expect(throws: Problem.self) { try JSONBody(Array(text[..<end])) } }
    }

    @Test func `random changes of a body never crash the reader, and what it reads Foundation reads too`() throws {
        var random = SystemRandomNumberGenerator()
        let text = Array(
            #"{"name":"aé😀\u00e9\n","place":{"lon":-1.5e+2,"lat":2},"steps":[true,false,null,[],{}]}"#.utf8)
        for _ in 0..<5_000 {
            var changed = text
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            guard (try? JSONBody(changed)) != nil else { continue }
            #expect(throws: Never.self, "\(changed)") {
                try JSONSerialization.jsonObject(with: Data(changed), options: .fragmentsAllowed)
            }
        }
    }

    // MARK: Over HTTP

    private func routes(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, Operation(.post, "/v1/things", "Make", access: .anyone, answers: [.ok(.any)])) {
            request, _ in
            try Response.json(.ok, try await request.json(Body.self, limit: 1_000))
        }
    }

    @Test func `a body over the limit is 413, announced or not`() async throws {
        try await serving(routes) { client in
            let large = ByteBuffer(string: #"{"name": "\#(String(repeating: "a", count: 2_000))"}"#)
            let response = try await client.execute(
                uri: "/v1/things", method: .post, headers: [.contentType: "application/json"], body: large)
            #expect(try SeenProblem(response).code == "too_large")
            #expect(response.status == .contentTooLarge)
        }
    }

    @Test(arguments: ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=gbk", ""])
    func `another content type is 415 and says which is wanted`(type: String) async throws {
        try await serving(routes) { client in
            let response = try await client.execute(
                uri: "/v1/things", method: .post, headers: type.isEmpty ? [:] : [.contentType: type],
                body: .text(#"{"name": "a"}"#))
            #expect(response.status == .unsupportedMediaType)
            #expect(try SeenProblem(response).errors.map(\.allowed) == [["application/json"]])
        }
    }

    @Test(arguments: [
        "application/json", "application/json; charset=utf-8", "Application/JSON;Charset=UTF-8",
        "application/merge-patch+json",
    ])
    func `JSON by any of its names is read`(type: String) async throws {
        try await serving(routes) { client in
            let response = try await client.execute(
                uri: "/v1/things", method: .post, headers: [.contentType: type], body: .text(#"{"name": "a/b"}"#))
            #expect(response.status == .ok)
            #expect(response.text == #"{"name":"a/b"}"#)
        }
    }
}
