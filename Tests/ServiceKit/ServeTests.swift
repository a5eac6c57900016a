import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import NIOCore
import Postgres
import ServiceLifecycle
import Testing

@testable import ServiceKit

/// What a service expects of the database when it starts, for one that reads nothing of its own.
private let setUp = """
    CREATE SCHEMA intake;
    CREATE SCHEMA dispatch;
    CREATE SCHEMA sluice;
    CREATE VIEW intake.api_jwks AS
        SELECT 'k'::text AS kid, 'EdDSA'::text AS alg, '\\x00'::bytea AS public_key, now() AS not_before, now() AS not_after;
    CREATE VIEW intake.api_revocation AS
        SELECT gen_random_uuid() AS subject, gen_random_uuid() AS session_id, now() AS revoked_at, now() AS expires_at;
    CREATE VIEW dispatch.api_lane_signal AS
        SELECT 'one'::text AS instance, 0.0::float8 AS pressure, now() AS measured_at;
    CREATE TABLE sluice.hidden (view_name text);
    INSERT INTO sluice.hidden VALUES ('gis.api_place');
    CREATE FUNCTION sluice.missing_sentinels(views text[]) RETURNS SETOF text LANGUAGE sql STABLE AS
        'SELECT view_name FROM sluice.hidden WHERE view_name = ANY (views)';
    """

/// A whole service process but for its signals: real ports, a real database, no broker.
@Suite struct ServeTests {
    private func context(_ database: PostgresConfiguration) throws -> ServiceContext {
        var configuration = try ServiceConfiguration.load(
            service: .scoring,
            environment: [
                "SLUICE_DB_HTTP_PASSWORD": "-", "SLUICE_DB_BACKGROUND_PASSWORD": "-", "SLUICE_AMQP_PASSWORD": "-",
                "SLUICE_AMQP_HOSTS": "127.0.0.1:\(try TestServer.freePort())",
                "SLUICE_HTTP_PORT": "\(try TestServer.freePort())",
                "SLUICE_OPERATIONS_PORT": "\(try TestServer.freePort())",
            ])
        configuration.databaseHTTP = database
        configuration.databaseBackground = database
        configuration.databaseLane = database
        return ServiceContext(configuration: configuration, logger: silentLogger, metrics: MetricsRegistry())
    }

    private func get(_ port: Int, _ path: String) async throws -> (status: Int, text: String) {
        try await TestClient.withClient(host: "127.0.0.1", port: port) { client in
            let response = try await client.get(path)
            return (response.status.code, response.body.map { String(buffer: $0) } ?? "")
        }
    }

    private func eventually(_ condition: () async throws -> Bool) async throws {
        while await (try? condition()) != true { try await Task.sleep(for: .milliseconds(20)) }
    }

    @Test(.timeLimit(.minutes(2)))
    func `a service becomes ready, works without the broker, and stops without dropping a request`() async throws {
        let server = try TestServer.shared()
        let database = try server.database(setUp)
        let context = try context(database)
        let http = context.configuration.http.port
        let operations = context.configuration.operations.port
        let (entries, entered) = AsyncStream.makeStream(of: Void.self)
        let (gate, opener) = AsyncStream.makeStream(of: Void.self)
        let (stops, stop) = AsyncStream.makeStream(of: String.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let router = Router(context: APIContext.self)
                var document = OpenAPIDocument(service: .scoring, title: "Test", summary: "")
                router.add(&document, Operation(.get, "/v1/slow", "Slow", access: .anyone, answers: [.ok(.any)])) {
                    _, _ in
                    entered.yield()
                    for await _ in gate { break }
                    return "finished"
                }
                try await serve(
                    context, router: router, document: document, services: [], views: ["gis.api_place"], stops: stops)
            }
            try await eventually { try await get(operations, "/health/live").status == 200 }

            // A view that shows nothing is a lost grant until it is seen.
            try await eventually {
                try await get(operations, "/health/ready").text.contains("cannot be read: gis.api_place")
            }
            #expect(try await get(operations, "/health/ready").status == 503)
            try server.psql("DELETE FROM sluice.hidden", database: database.database)
            try await eventually { try await get(operations, "/health/ready").status == 200 }
            let ready = try await get(operations, "/health/ready").text
            #expect(ready.contains(#""broker_emergency":{"status":"degraded""#))
            #expect(ready.contains(#""database_lane":{"status":"ok"}"#))

            #expect(try await get(http, "/scoring/openapi.json").status == 200)
            #expect(try await get(http, "/metrics").status == 404)
            #expect(try await get(http, "/health/ready").status == 404)
            let metrics = try await get(operations, "/metrics").text
            #expect(
                metrics.contains(#"http_requests_total{method="GET",route="/scoring/openapi.json",status="200"} 1"#))
            #expect(metrics.contains("process_anonymous_memory_bytes"))

            async let slow = get(http, "/v1/slow")
            for await _ in entries { break }
            stop.yield("SIGTERM")
            // It stops: no longer ready, no new connection, but the request that is inside is still there.
            try await eventually { try await get(operations, "/health/ready").text.contains("stopping") }
            try await eventually { (try? await get(http, "/scoring/openapi.json")) == nil }
            opener.yield()
            let answer = try await slow
            #expect(answer.status == 200)
            #expect(answer.text == "finished")
            try await group.waitForAll()
        }
    }
}
