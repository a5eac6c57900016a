import Foundation
import Postgres
import Testing

/// Work that its caller, the client or the network breaks off in the middle.
@Suite("Work that is broken off", .serialized, .timeLimit(.minutes(2)))
struct BrokenOffTests {
    @Test func `What is refused before it is sent ends its transaction`() async throws {
        try await withDatabase("CREATE TABLE a (n int)") { client in
            let error = try await failure {
                try await client.transaction { transaction in
                    // BEGIN would have gone with it.
                    _ = try? await transaction.send(["SELECT \("a\0b")::text"])
                    try await transaction.commit(["INSERT INTO a VALUES (1)"])
                }
            }
            #expect(error.kind == .encoding)
            #expect(try await client.query("SELECT FROM a").isEmpty)
        }
    }

    @Test func `A COPY whose reader gives up takes its connection along`() async throws {
        try await withDatabase(shared: 0, exclusive: 1) { client in
            try await client.withExclusive { session in
                let refusal = try await failure {
                    try await session.copyOut("COPY (SELECT generate_series(1, 100000)) TO STDOUT") { _ in
                        throw PostgresError(.server, "x")
                    }
                }
                #expect(refusal.message == "x")
                // It would stand behind rows that nobody reads.
                let error = try await failure { try await session.query("SELECT 1") }
                #expect(error.kind == .connection)
            }
            #expect(try await client.query("SELECT 1").count == 1)
        }
    }

    @Test func `A question in the middle of a COPY is refused, and the COPY goes on`() async throws {
        try await withDatabase(shared: 0, exclusive: 1) { client in
            try await client.withExclusive { session in
                let lines = Counter()
                try await session.copyOut("COPY (SELECT generate_series(1, 100000)) TO STDOUT") { chunk in
                    lines.add(chunk.count { $0 == UInt8(ascii: "\n") })
                    let error = try await failure { try await session.query("SELECT 1") }
                    #expect(error.kind == .closed)
                }
                #expect(lines.value == 100_000)
                #expect(try await session.query("SELECT 1").count == 1)
            }
        }
    }

    @Test func `A script whose answer is lost may have happened, a COPY that did not begin has not`() async throws {
        let server = try await TestServer()
        let database = try await server.database(
            """
            CREATE TABLE a (n int);
            CREATE TABLE b (n int);
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION slow();
            """)
        try await withClient(server.configuration(database: database), shared: 1, exclusive: 2) { client in
            async let script = failure {
                try await client.withExclusive {
                    try await $0.script("LOCK TABLE b IN ACCESS EXCLUSIVE MODE; INSERT INTO a VALUES (1)")
                }
            }
            let committing = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            try await eventually { try await server.psql(committing).contains("1") }
            async let copy = failure {
                try await client.copyIn(table: "b", columns: ["n"], rows: [[1]] as [[(any PostgresEncodable)?]])
            }
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            try await eventually { try await server.psql(waiting).contains("1") }
            try await server.killAll()
            #expect(try await script.kind == .unknownOutcome)
            #expect(try await copy.kind == .connection)
        }
    }
}
