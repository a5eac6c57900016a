import Foundation
import Postgres
import Testing

@Suite("Transactions", .serialized, .timeLimit(.minutes(2)))
struct TransactionTests {
    static let table = "CREATE TABLE a (n int PRIMARY KEY, note text)"

    @Test func `A decision looks, decides and writes in two trips`() async throws {
        try await withDatabase(Self.table) { client in
            let sum = try await client.transaction { transaction in
                let look = try await transaction.send([
                    "SELECT pg_advisory_xact_lock(1)", "SELECT coalesce(sum(n), 0)::int FROM a",
                ])
                let sum = try look[1][0].decode(0, as: Int.self)
                try await transaction.commit(["INSERT INTO a VALUES (\(sum + 1), \("x"))"])
                return sum
            }
            #expect(sum == 0)
            #expect(try await client.query("SELECT n FROM a").column(Int.self) == [1])
        }
    }

    @Test func `What the closure leaves open is committed`() async throws {
        try await withDatabase(Self.table) { client in
            try await client.transaction { _ = try await $0.query("INSERT INTO a VALUES (1)") }
            #expect(try await client.query("SELECT n FROM a").count == 1)
        }
    }

    @Test func `A thrown error rolls back and frees the locks`() async throws {
        struct Changed: Error {}
        try await withDatabase(Self.table, exclusive: 1) { client in
            await #expect(throws: Changed.self) {
                try await client.transaction { transaction in
                    try await transaction.send(["SELECT pg_advisory_xact_lock(7)", "INSERT INTO a VALUES (1)"])
                    throw Changed()
                }
            }
            let isFree = try await client.query("SELECT pg_try_advisory_xact_lock(7)")[0].decode(0, as: Bool.self)
            #expect(isFree)
            #expect(try await client.query("SELECT n FROM a").isEmpty)
        }
    }

    @Test func `An error that the closure swallows still forbids the commit`() async throws {
        try await withDatabase(Self.table) { client in
            let error = try await failure {
                try await client.transaction { transaction in
                    try await transaction.query("INSERT INTO a VALUES (1)")
                    _ = try? await transaction.query("SELECT 1/0")
                }
            }
            #expect(error.sqlState == "22012")
            #expect(try await client.query("SELECT n FROM a").isEmpty)
        }
    }

    /// M26: psycopg/psycopg#266.
    @Test func `A connection in an aborted transaction never reaches the next caller (M26)`() async throws {
        try await withDatabase(Self.table, shared: 0, exclusive: 1) { client in
            for round in 0..<5 {
                _ = try await failure {
                    try await client.transaction { transaction in
                        try await transaction.send([
                            "INSERT INTO a VALUES (1)", "SELECT 1/0", "SELECT 1", "SELECT 2", "SELECT 3",
                        ])
                    }
                }
                let task = Task {
                    try await client.transaction { transaction in
                        try await transaction.query("INSERT INTO a VALUES (2)")
                        try await transaction.query("SELECT pg_sleep(0.2)")
                    }
                }
                try await Task.sleep(for: .milliseconds(round * 15))
                task.cancel()
                _ = await task.result
                #expect(try await client.query("SELECT count(*)::int FROM a")[0].decode(0, as: Int.self) == 0)
            }
        }
    }

    @Test func `Nothing may follow the commit`() async throws {
        try await withDatabase(Self.table) { client in
            let error = try await failure {
                try await client.transaction { transaction in
                    try await transaction.commit(["INSERT INTO a VALUES (1)"])
                    try await transaction.query("INSERT INTO a VALUES (2)")
                }
            }
            #expect(error.kind == .closed)
            #expect(try await client.query("SELECT n FROM a").column(Int.self) == [1])
        }
    }

    @Test func `A segment that meets a lock runs again where it may wait`() async throws {
        try await withDatabase(Self.table, shared: 1, exclusive: 2) { client in
            try await client.query("INSERT INTO a VALUES (1, 'old')")
            let (locked, isLocked) = AsyncStream.makeStream(of: Void.self)
            async let holder: Void = client.transaction { transaction in
                try await transaction.query("UPDATE a SET note = 'held' WHERE n = 1")
                isLocked.finish()
                // Longer than the shared connections' lock time-out.
                try await transaction.query("SELECT pg_sleep(0.3)")
                try await transaction.commit()
            }
            for await _ in locked {}
            try await client.segment([
                "UPDATE a SET note = note || ' and new' WHERE n = 1", "INSERT INTO a VALUES (2, 'with it')",
            ])
            try await holder
            #expect(
                try await client.query("SELECT note FROM a ORDER BY n").column(String.self)
                    == ["held and new", "with it"])
        }
    }

    @Test func `The district scope holds for its transaction only`() async throws {
        try await withDatabase(shared: 1, exclusive: 1) { client in
            let ids = [UUID(), UUID()]
            let setting: SQL = "SELECT coalesce(current_setting('sluice.districts', true), '')"
            let expected = ids.map(\.uuidString).joined(separator: ",")
            #expect(try await client.query(setting, scope: .districts(ids))[0].decode(0) == expected)
            #expect(try await client.query(setting)[0].decode(0) == "")
            #expect(try await client.query(setting, scope: .none)[0].decode(0) == "")
            let inside = try await client.transaction(scope: .districts(ids)) { try await $0.query(setting)[0] }
            #expect(try inside.decode(0) == expected)
            #expect(try await client.transaction { try await $0.query(setting)[0] }.decode(0) == "")
        }
    }

    @Test func `A segment takes no transaction control`() async throws {
        try await withDatabase { client in
            for text: SQL in ["BEGIN", " commit", "\nRollback to x", "START TRANSACTION", "PREPARE x AS SELECT 1"] {
                let error = try await failure { try await client.segment(["SELECT 1", text]) }
                #expect(error.kind == .encoding)
            }
        }
    }
}
