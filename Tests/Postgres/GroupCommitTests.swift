import Foundation
import Postgres
import Testing

@Suite("Group commit", .serialized, .timeLimit(.minutes(2)))
struct GroupCommitTests {
    @Test func `Callers that come together share commits and each gets their own answers`() async throws {
        try await withDatabase("CREATE TABLE a (n int PRIMARY KEY, tx xid8 DEFAULT pg_current_xact_id())") { client in
            let together = GroupCommit(client, width: 1)
            let seen = try await withThrowingTaskGroup(of: (Int, Int).self) { group in
                for n in 0..<500 {
                    group.addTask {
                        let answers = try await together.segment(
                            ["INSERT INTO a VALUES (\(n))", "SELECT \(n) + 1"], districts: [UUID()])
                        return (n, try answers[1][0].decode(0, as: Int.self))
                    }
                }
                return try await group.reduce(into: [(Int, Int)]()) { $0.append($1) }
            }
            #expect(seen.allSatisfy { $0.1 == $0.0 + 1 } && seen.count == 500)
            let counts = try await client.query("SELECT count(*), count(DISTINCT tx) FROM a")[0]
                .decode((Int, Int).self)
            #expect(counts.0 == 500)
            #expect(counts.1 < 250)
        }
    }

    @Test func `Who is cancelled in line is told at once, and is not written`() async throws {
        try await withDatabase("CREATE TABLE a (n int)") { client in
            let together = GroupCommit(client, width: 1)
            let first = Task { try await together.segment(["SELECT pg_sleep(1)"], districts: []) }
            try await eventually {
                try await client.query(
                    "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
                ).count > 0
            }
            let waiting = Task { try await together.segment(["INSERT INTO a VALUES (1)"], districts: []) }
            waiting.cancel()
            let error = await #expect(throws: PostgresError.self) { try await waiting.value }
            #expect(error?.kind == .cancelled)
            _ = try await first.value
            #expect(try await client.query("SELECT FROM a").isEmpty)
        }
    }

    @Test func `One that is refused spoils nothing for its neighbours`() async throws {
        try await withDatabase("CREATE TABLE a (n int PRIMARY KEY CHECK (n % 10 <> 7))") { client in
            let together = GroupCommit(client, width: 1, most: 16)
            let refused = await withTaskGroup(of: Int?.self) { group in
                for n in 0..<200 {
                    group.addTask {
                        do {
                            _ = try await together.segment(["INSERT INTO a VALUES (\(n))"], districts: [])
                            return nil
                        } catch {
                            let state = (error as? PostgresError)?.sqlState
                            #expect(state == "23514")
                            return n
                        }
                    }
                }
                return await group.reduce(into: [Int]()) { if let n = $1 { $0.append(n) } }
            }
            #expect(refused.sorted() == Array(stride(from: 7, to: 200, by: 10)))
            let stored = try await client.query("SELECT n FROM a")
            #expect(stored.count == 180)
        }
    }

    @Test func `A group sees the districts of its callers and no others`() async throws {
        try await withDatabase { client in
            let together = GroupCommit(client, width: 1)
            let one = UUID()
            let answer = try await together.segment(
                ["SELECT current_setting('sluice.districts')"], districts: [one])
            #expect(try answer[0][0].decode(0, as: String.self) == one.uuidString)
            let afterwards = try await client.query("SELECT coalesce(current_setting('sluice.districts', true), '')")
            #expect(try afterwards[0].decode(0, as: String.self) == "")
        }
    }

    @Test func `A lost connection is told to everybody in the group and what was promised is there`() async throws {
        let server = try await TestServer()
        let database = try await server.database("CREATE TABLE a (n int PRIMARY KEY)")
        try await withClient(server.configuration(database: database)) { client in
            let together = GroupCommit(client)
            let promised = Numbers()
            let writers = Task {
                await withTaskGroup(of: Void.self) { group in
                    for writer in 0..<50 {
                        group.addTask {
                            for n in stride(from: writer, to: 100_000, by: 50) {
                                do {
                                    _ = try await together.segment(["INSERT INTO a VALUES (\(n))"], districts: [])
                                    promised.insert(n)
                                } catch {
                                    #expect(error is PostgresError)
                                    return
                                }
                            }
                        }
                    }
                }
            }
            try await eventually { promised.count > 500 }
            try await server.killAll()
            await writers.value
            try await server.start()
            try await eventually { (try? await client.query("SELECT 1")) != nil }
            let stored = Set(try await client.query("SELECT n FROM a").column(Int.self))
            #expect(promised.all.isSubset(of: stored))
        }
    }
}
