import Foundation
import Postgres
import Testing

@Suite("The life of connections", .serialized, .timeLimit(.minutes(2)))
struct LifeTests {
    @Test func `A graceful end finishes what is under way and refuses the rest`() async throws {
        try await withDatabase("CREATE TABLE a (n int)", shared: 1, exclusive: 1) { client in
            async let segment = client.segment(["SELECT pg_sleep(0.3)", "INSERT INTO a VALUES (1) RETURNING n"])
            async let transaction = client.transaction { transaction in
                try await transaction.query("SELECT pg_sleep(0.3)")
                return try await transaction.query("INSERT INTO a VALUES (2) RETURNING n")
            }
            try await Task.sleep(for: .milliseconds(150))
            await client.shutDown()
            #expect(try await segment[1].column(Int.self) == [1])
            #expect(try await transaction.column(Int.self) == [2])
            #expect(try await failure { try await client.query("SELECT 1") }.kind == .closed)
            #expect(client.health.sharedConnected == 0)
        }
    }

    @Test func `A connection past its age is replaced when idle`() async throws {
        let change: (inout PostgresConfiguration) -> Void = { $0.maxConnectionAge = .milliseconds(100) }
        try await withDatabase(shared: 1, exclusive: 0, change: change) { client in
            let process: SQL = "SELECT pg_backend_pid()"
            let first = try await client.query(process)[0].decode(0, as: Int.self)
            try await eventually { try await client.query(process)[0].decode(0, as: Int.self) != first }
        }
    }

    @Test func `Prepared statements stay within their bound`() async throws {
        let change: (inout PostgresConfiguration) -> Void = { $0.preparedStatements = 10 }
        try await withDatabase(shared: 1, exclusive: 0, change: change) { client in
            for n in 0..<100 {
                try await client.query(SQL(unsafe: "SELECT \(n)"))
            }
            let count = try await client.query("SELECT count(*)::int FROM pg_prepared_statements")[0]
            #expect(try count.decode(0, as: Int.self) <= 11)
        }
    }

    @Test func `Two clients share a reactor, and one's end leaves the other at work`() async throws {
        try await withDatabase { first in
            try await withDatabase { _ = try await $0.query("SELECT 1") }
            let rows = try await first.query("SELECT 1")
            #expect(rows.count == 1)
        }
    }

    @Test func `A half-sent transaction is ended, a COPY that waits for its client is not`() async throws {
        // A server of its own: the sweep would reach other tests' sessions.
        let server = try await TestServer()
        let database = try await server.database("CREATE TABLE a (n int)")
        try await withClient(server.configuration(database: database), shared: 1, exclusive: 1) { client in
            let half = try HalfSentSegment(
                port: server.port, database: database, statement: "INSERT INTO a VALUES (1)")
            defer { half.close() }
            let rows = AsyncStream<[(any PostgresEncodable)?]> { continuation in
                continuation.yield([2])
                Task {
                    try await eventually {
                        try await client.endHalfSentTransactions(olderThan: .milliseconds(100)) == 1
                    }
                    continuation.finish()
                }
            }
            let copied = try await client.copyIn(table: "a", columns: ["n"], rows: rows)
            #expect(copied == 1)
            let stored = try await client.query("SELECT n FROM a").column(Int.self)
            #expect(stored == [2])
        }
    }
}
