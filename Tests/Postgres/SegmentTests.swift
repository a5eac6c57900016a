import Foundation
import Postgres
import Testing

@Suite("Segments", .serialized, .timeLimit(.minutes(2)))
struct SegmentTests {
    @Test func `A segment gives its answers in the statements' order`() async throws {
        try await withDatabase { client in
            let answers = try await client.segment(["SELECT 1", "SELECT \("two")", "SELECT \(3) + 0, NULL::text"])
            #expect(try answers[0][0].decode(0, as: Int.self) == 1)
            #expect(try answers[1][0].decode(0, as: String.self) == "two")
            #expect(try answers[2][0].decode((Int, String?).self) == (3, nil))
        }
    }

    /// M26: sysown/proxysql#5118, nikita-volkov/hasql#311. Where the Sync stands decides what is atomic.
    @Test func `Business row and outbox row stand or fall together (M26)`() async throws {
        try await withDatabase("CREATE TABLE a (n int PRIMARY KEY); CREATE TABLE b (n int PRIMARY KEY)") { client in
            try await client.segment(["INSERT INTO b VALUES (1)"])
            let error = try await failure {
                try await client.segment([
                    "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)", "INSERT INTO a VALUES (2)",
                    "INSERT INTO a VALUES (3)",
                ])
            }
            #expect(error.isUniqueViolation(constraint: "b_pkey"))
            #expect(error.statementIndex == 1)
            #expect(error.skippedStatements == 2)
            #expect(error.table == "b")
            #expect(try await client.query("SELECT * FROM a").isEmpty)
        }
    }

    @Test func `A deferred constraint fails the segment at its end`() async throws {
        try await withDatabase("CREATE TABLE a (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)") { client in
            let error = try await failure {
                try await client.segment(["INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (1)"])
            }
            #expect(error.isUniqueViolation())
            #expect(try await client.query("SELECT * FROM a").isEmpty)
        }
    }
}
