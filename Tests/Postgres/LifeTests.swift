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
        try await withDatabase(shared: 1, exclusive: 0, change: { $0.preparedStatements = 10 }) { client in
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

    @Test func `Half-sent transactions of our own role are ended, others are left alone`() async throws {
        try await withDatabase { client in
            let ended = try await client.endHalfSentTransactions()
            #expect(ended == 0)
        }
    }
}
