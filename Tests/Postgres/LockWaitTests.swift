import Foundation
import Postgres
import Testing

/// Somebody holds a row that others want. Only who wants it waits for it.
@Suite("Waiting for locks", .serialized, .timeLimit(.minutes(2)))
struct LockWaitTests {
    static let table = "CREATE TABLE a (n int PRIMARY KEY, note text); INSERT INTO a VALUES (1, 'old')"
    static let hold: SQL = "SELECT FROM a WHERE n = 1 FOR UPDATE"
    static let update: SQL = "UPDATE a SET note = 'new' WHERE n = 1"

    @Test func `One that meets a lock fails none of its group`() async throws {
        let change: (inout PostgresConfiguration) -> Void = { $0.options.statementTimeout = .seconds(1) }
        try await withDatabase(Self.table, shared: 1, exclusive: 2, change: change) { client in
            try await client.transaction { holder in
                try await holder.query(Self.hold)
                let together = GroupCommit(client, width: 1)
                // While it is under way the others gather.
                let first = Task { try await together.segment(["SELECT pg_sleep(0.5)"], districts: []) }
                let sleepers: SQL = """
                    SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'
                    """
                try await eventually { try await client.transaction { try await $0.query(sleepers).count } == 1 }
                let late = Task { try await together.segment([Self.update], districts: []) }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for n in 2...11 {
                        group.addTask {
                            _ = try await together.segment(["INSERT INTO a VALUES (\(n))"], districts: [])
                        }
                    }
                    try await group.waitForAll()
                }
                // The row is held as before.
                #expect(try await failure { try await late.value }.kind == .timeout)
                _ = try await first.value
            }
            #expect(try await client.query("SELECT FROM a").count == 11)
        }
    }

    @Test func `One that waits for a lock keeps no later group waiting`() async throws {
        try await withDatabase(Self.table, shared: 1, exclusive: 2) { client in
            let together = GroupCommit(client, width: 1)
            let waiting = try await client.transaction { holder in
                try await holder.query(Self.hold)
                let waiting = Task { try await together.segment([Self.update], districts: []) }
                let waiters: SQL = """
                    SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                    """
                try await eventually { try await client.query(waiters).count == 1 }
                _ = try await together.segment(["INSERT INTO a VALUES (2, 'later')"], districts: [])
                return waiting
            }
            _ = try await waiting.value
            #expect(try await client.query("SELECT note FROM a ORDER BY n").column(String.self) == ["new", "later"])
        }
    }

    @Test func `A segment that is sent on to the exclusive connections does not push in`() async throws {
        try await withDatabase(Self.table, shared: 1, exclusive: 1) { client in
            let (reader, writer) = try await client.transaction { holder in
                try await holder.query(Self.hold)
                let reader = Task {
                    try await client.transaction { try await $0.query("SELECT note FROM a") }.column(String.self)
                }
                try await eventually { client.health.waiting == 1 }
                let writer = Task { try await client.query(Self.update) }
                try await eventually { client.health.waiting == 2 }
                return (reader, writer)
            }
            #expect(try await reader.value == ["old"])
            #expect(try await writer.value.affected == 1)
        }
    }

    @Test func `Who waits for an exclusive connection is told in time, whoever else meets locks`() async throws {
        let change: (inout PostgresConfiguration) -> Void = { $0.queryDeadline = .seconds(1) }
        try await withDatabase(Self.table, shared: 1, exclusive: 1, change: change) { client in
            try await client.transaction { holder in
                try await holder.query(Self.hold)
                let others = Task {
                    await withTaskGroup(of: Void.self) { group in
                        while !Task.isCancelled {
                            group.addTask { _ = try? await client.query(Self.update) }
                            try? await Task.sleep(for: .milliseconds(50))
                        }
                    }
                }
                // Nothing but its own deadline ends this wait: the others keep coming.
                let error = try await failure { try await client.transaction { try await $0.query("SELECT 1") } }
                #expect(error.kind == .timeout)
                others.cancel()
                await others.value
            }
        }
    }
}
