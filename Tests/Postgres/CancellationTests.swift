import Foundation
import Glibc
import Postgres
import Testing

/// A caller may be cancelled at any of its waits. It then hears so, and the client serves the next one as before.
@Suite("Cancellation at every wait", .serialized, .timeLimit(.minutes(5)))
struct CancellationTests {
    /// Cancels `work` once it waits, and expects that it ends for that reason.
    private func cancelled(
        _ what: Comment, when isWaiting: () async throws -> Bool, _ work: @escaping @Sendable () async throws -> Void
    ) async throws {
        let task = Task { try await work() }
        try await eventually(isWaiting)
        task.cancel()
        await #expect(throws: (any Error).self, what) { try await task.value }
    }

    private func sleepers(_ client: PostgresClient) async throws -> Int {
        // Not on a shared connection: it might stand behind the very statement that it looks for.
        try await client.transaction {
            try await $0.query(
                """
                SELECT count(*)::int FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'
                """)[0].decode(0)
        }
    }

    @Test func `in a statement, shared or exclusive`() async throws {
        try await withDatabase(shared: 2, exclusive: 2) { client in
            // What was sent goes on in the server: a cancelled caller abandons its result, and the connection with it if
            // it was its own.
            try await cancelled("a transaction", when: { try await sleepers(client) == 1 }) {
                try await client.transaction { _ = try await $0.query("SELECT pg_sleep(2)") }
            }
            try await eventually { try await sleepers(client) == 0 }
            try await cancelled("a segment", when: { try await sleepers(client) == 1 }) {
                try await client.segment(["SELECT pg_sleep(2)"])
            }
            for _ in 0..<4 { #expect(try await client.query("SELECT 1").count == 1) }
        }
    }

    @Test func `in the line for a connection`() async throws {
        try await withDatabase(shared: 1, exclusive: 1) { client in
            try await client.withExclusive { _ in
                let isWaiting = Counter()
                try await cancelled("the line", when: { isWaiting.value == 1 }) {
                    isWaiting.add(1)
                    try await client.transaction { _ = try await $0.query("SELECT 1") }
                }
            }
            let rows = try await client.transaction { try await $0.query("SELECT 1") }
            #expect(rows.count == 1)
        }
    }

    @Test func `before there is a connection at all`() async throws {
        var configuration = try await TestServer.shared().configuration(database: "postgres")
        configuration.port = 1
        configuration.queryDeadline = .seconds(3600)
        try await withClient(configuration) { client in
            let waiting = Counter()
            try await cancelled("a segment", when: { waiting.value == 1 }) {
                waiting.add(1)
                try await client.query("SELECT 1")
            }
            try await cancelled("a transaction", when: { waiting.value == 2 }) {
                waiting.add(1)
                try await client.transaction { _ = try await $0.query("SELECT 1") }
            }
        }
    }

    @Test func `in a COPY whose rows do not come, in a stream, and between the rows`() async throws {
        try await withDatabase("CREATE TABLE a (n int)", shared: 1, exclusive: 1) { client in
            let started = Counter()
            let (rows, source) = AsyncStream<[(any PostgresEncodable)?]>.makeStream()
            source.yield([1])
            try await cancelled("COPY in", when: { started.value == 1 }) {
                started.add(1)
                let copied = try await client.copyIn(table: "a", columns: ["n"], rows: rows)
                // The source ends with the cancellation; what was read is not kept.
                try Task.checkCancellation()
                Issue.record("\(copied) rows were copied")
            }
            try await cancelled("COPY out", when: { started.value > 1 }) {
                try await client.withExclusive { session in
                    try await session.copyOut("COPY (SELECT generate_series(1, 100000000)) TO STDOUT") { _ in
                        started.add(1)
                    }
                }
            }
            let batches = Counter()
            try await cancelled("a stream", when: { batches.value > 0 }) {
                try await client.withExclusive { session in
                    try await session.stream("SELECT generate_series(1, 100000000) AS n", batch: 100) { _ in
                        batches.add(1)
                    }
                }
            }
            let rowsLeft = try await client.transaction { try await $0.query("SELECT 1") }
            #expect(rowsLeft.count == 1)
        }
    }

    @Test func `in a stream of notifications, which then ends`() async throws {
        try await withDatabase { client in
            let listening = Counter()
            let task = Task {
                for await event in client.listen(["lane"]) where event == .listening { listening.add(1) }
            }
            try await eventually { listening.value == 1 }
            task.cancel()
            await task.value
            #expect(try await client.query("SELECT 1").count == 1)
        }
    }
}
