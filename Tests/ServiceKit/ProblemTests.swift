import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import Postgres
import ServiceKit
import Testing

/// Every error is `application/problem+json` with a code, both languages, and nothing of our insides.
@Suite struct ProblemTests {
    private func routes(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, Operation(.get, "/v1/things/{id}", "One", access: .anyone, answers: [.ok(.any)])) {
            _, context -> Response in
            switch try context.pathText("id") {
            case "boom": throw TestFailure("postgres://user:hunter2@host")
            case "down": throw PostgresError(.connection, "the server hunter2 is gone")
            case "locked": throw PostgresError(.server, "lock", sqlState: "55P03")
            case "bug": throw PostgresError(.server, "syntax hunter2", sqlState: "42601")
            default: throw Problem.notFound
            }
        }
    }

    @Test func `an unknown path is a problem with the trace id of its answer`() async throws {
        try await serving(routes) { client in
            let response = try await client.execute(uri: "/nothing/here", method: .get)
            let problem = try SeenProblem(response)
            #expect(response.status == .notFound)
            #expect(problem.code == "not_found")
            #expect(problem.type == "urn:sluice:problem:not_found")
            #expect(!problem.detailZH.isEmpty)
            #expect(problem.traceID == response.headers[HTTPField.Name("Sluice-Trace")!])
            #expect(response.headers[HTTPField.Name("X-Content-Type-Options")!] == "nosniff")
            #expect(response.headers[.cacheControl] == "no-store")
        }
    }

    @Test func `HEAD is GET without the body`() async throws {
        try await serving(routes) { client in
            let response = try await client.execute(uri: "/intake/openapi.json", method: .head)
            #expect(response.status == .ok)
            #expect(response.body.readableBytes == 0)
            #expect(try await client.execute(uri: "/v1/things/7", method: .head).status == .notFound)
        }
    }

    @Test func `a known path with another method says which methods it has`() async throws {
        try await serving(routes) { client in
            let response = try await client.execute(uri: "/v1/things/7", method: .delete)
            #expect(try SeenProblem(response).code == "method_not_allowed")
            #expect(response.status == .methodNotAllowed)
            #expect(response.headers[.allow] == "GET")
        }
    }

    @Test(arguments: [
        ("boom", 500, "internal"), ("bug", 500, "internal"), ("down", 503, "unavailable"),
        ("locked", 503, "unavailable"),
    ])
    func `an error of our own tells nothing of itself`(path: String, status: Int, code: String) async throws {
        try await serving(routes) { client in
            let response = try await client.execute(uri: "/v1/things/\(path)", method: .get)
            #expect(response.status.code == status)
            #expect(try SeenProblem(response).code == code)
            #expect(!response.text.contains("hunter2"))
            #expect((response.headers[.retryAfter] != nil) == (status == 503))
        }
    }

    @Test func `a trace that the caller began is continued`() async throws {
        try await serving(routes) { client in
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            let response = try await client.execute(
                uri: "/v1/things/7", method: .get,
                headers: [HTTPField.Name("traceparent")!: "00-\(trace)-00f067aa0ba902b7-01"])
            #expect(try SeenProblem(response).traceID == trace)
        }
    }

    @Test func `requests are counted by route, not by path`() async throws {
        let metrics = MetricsRegistry()
        try await serving(metrics: metrics, routes) { client in
            for id in ["a", "b", "c"] { _ = try await client.execute(uri: "/v1/things/\(id)", method: .get) }
        }
        #expect(
            metrics.text().contains(
                #"http_requests_total{method="GET",route="/v1/things/{id}",status="404"} 3"#))
    }
}
