import Foundation
import Postgres
import PrivateProcesses
import Testing

@Suite("LISTEN", .serialized, .timeLimit(.minutes(2)))
struct ListenTests {
    @Test func `A notification arrives after listening has begun`() async throws {
        try await withDatabase { client in
            for await event in client.listen(["lane", "Other Channel"]) {
                switch event {
                case .listening:
                    try await client.query("SELECT pg_notify('lane', 'a'), pg_notify('Other Channel', '')")
                case .notification(let channel, let payload):
                    #expect([channel, payload] == ["lane", "a"] || [channel, payload] == ["Other Channel", ""])
                    if channel == "Other Channel" { return }
                case .degraded(let error): throw error
                }
            }
        }
    }

    /// M08: taskforcesh/bullmq#4729, iopsystems/durable#66.
    @Test func `A killed session is told of, and listening begins again before the reader rereads (M08)`() async throws
    {
        try await withDatabase("CREATE TABLE a (n int)") { client in
            var seen: [String] = []
            for await event in client.listen(["lane"]) {
                switch event {
                case .listening:
                    seen.append("listening")
                    let rows = try await client.query("SELECT n FROM a").column(Int.self)
                    if seen.count == 1 {
                        // Its own client looks just the same, so it is known by what it did last.
                        try await client.query(
                            """
                            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                            WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query = 'SELECT 1') AND pid <> pg_backend_pid()
                            """)
                        try await client.segment(["INSERT INTO a VALUES (1)", "SELECT pg_notify('lane', 'lost')"])
                    } else {
                        #expect(rows == [1])
                        try await client.query("SELECT pg_notify('lane', 'heard')")
                    }
                case .degraded(let error):
                    seen.append("degraded")
                    #expect(error.sqlState == "57P01")
                case .notification(_, let payload):
                    guard payload == "heard" else { continue }
                    #expect(seen == ["listening", "degraded", "listening"])
                    return
                }
            }
        }
    }

    /// M08: timgit/pg-boss#851, graphile/worker#541.
    @Test func `A session that hangs without a word is noticed by the probe (M08)`() async throws {
        try await withDatabase { client in
            var frozen: pid_t?
            for await event in client.listen(["lane"]) {
                switch event {
                case .listening where frozen == nil:
                    let rows = try await client.query(
                        """
                        SELECT pid FROM pg_stat_activity
                        WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')
                          AND pid <> pg_backend_pid()
                        """)
                    frozen = pid_t(try #require(rows.first).decode(0, as: Int32.self))
                    try await freeze([try #require(frozen)])
                case .degraded(let error): #expect(error.kind == .timeout)
                case .listening:
                    thaw([try #require(frozen)])
                    return
                case .notification: Issue.record("nothing was notified")
                }
            }
        }
    }

    @Test func `A shut-down client ends its streams`() async throws {
        let server = try await TestServer.shared()
        let stream = try await withClient(server.configuration(database: try await server.database())) { client in
            let stream = client.listen(["lane"])
            for await event in stream where event == .listening { break }
            return client.listen(["lane"])
        }
        for await _ in stream {}
    }
}
