import Foundation
import Postgres
import Testing

@Suite("COPY, scripts and streams", .serialized, .timeLimit(.minutes(5)))
struct CopyTests {
    static let table = "CREATE SCHEMA s; CREATE TABLE s.t (n int PRIMARY KEY, note text, at timestamptz, raw bytea)"

    @Test func `A million rows go in and come out`() async throws {
        try await withDatabase(Self.table) { client in
            let rows = (0..<1_000_000).lazy.map { (n: Int) -> [(any PostgresEncodable)?] in [n, "row \(n)"] }
            #expect(try await client.copyIn(table: "s.t", columns: ["n", "note"], rows: rows) == 1_000_000)
            let answer = try await client.query("SELECT count(*)::int, sum(n)::int8 FROM s.t")[0]
            #expect(try answer.decode((Int, Int).self) == (1_000_000, 499_999_500_000))
            let lines = Counter()
            try await client.withExclusive { session in
                try await session.copyOut("COPY (SELECT n FROM s.t) TO STDOUT") { chunk in
                    lines.add(chunk.count { $0 == UInt8(ascii: "\n") })
                }
            }
            #expect(lines.value == 1_000_000)
        }
    }

    @Test func `COPY escapes whatever a value may hold`() async throws {
        let texts: [String?] = ["tab\t", "line\n\r", "back\\slash", "\\N", "\\.", "", nil, "水闸", "a\tb\\n"]
        try await withDatabase(Self.table) { client in
            let rows = texts.enumerated().map { index, text in
                [index, text, Date(timeIntervalSince1970: 1.5), Bytes([92, 0, 9])] as [(any PostgresEncodable)?]
            }
            #expect(try await client.copyIn(table: "s.t", columns: ["n", "note", "at", "raw"], rows: rows) == 9)
            let answer = try await client.query("SELECT note, at, raw FROM s.t ORDER BY n")
            #expect(try answer.map { try $0.decode("note", as: String?.self) } == texts)
            #expect(try answer[0].decode("at") == Date(timeIntervalSince1970: 1.5))
            #expect(try answer[0].decode("raw", as: Bytes.self).bytes == [92, 0, 9])
        }
    }

    @Test func `A COPY that fails writes nothing and leaves the connection usable`() async throws {
        try await withDatabase(Self.table, shared: 0, exclusive: 1) { client in
            let twice = [[1], [1]] as [[(any PostgresEncodable)?]]
            let error = try await failure { try await client.copyIn(table: "s.t", columns: ["n"], rows: twice) }
            #expect(error.isUniqueViolation())
            struct SourceBroke: Error {}
            let broken = AsyncThrowingStream<[(any PostgresEncodable)?], any Error> { continuation in
                continuation.yield([1])
                continuation.finish(throwing: SourceBroke())
            }
            await #expect(throws: SourceBroke.self) {
                try await client.copyIn(table: "s.t", columns: ["n"], rows: broken)
            }
            #expect(
                try await failure { try await client.copyIn(table: "s.none", columns: ["n"], rows: twice) }.sqlState
                    == "42P01")
            #expect(
                try await failure { try await client.copyIn(table: "s.t", columns: ["n", "note"], rows: twice) }.kind
                    == .encoding)
            #expect(try await client.query("SELECT n FROM s.t").isEmpty)
        }
    }

    @Test func `COPY inside a transaction stands or falls with it`() async throws {
        struct Changed: Error {}
        try await withDatabase(Self.table) { client in
            let rows = [[1], [2]] as [[(any PostgresEncodable)?]]
            try await client.transaction { transaction in
                #expect(try await transaction.copyIn(table: "s.t", columns: ["n"], rows: rows) == 2)
                try await transaction.commit(["DELETE FROM s.t WHERE n = 1"])
            }
            await #expect(throws: Changed.self) {
                try await client.transaction { transaction in
                    try await transaction.copyIn(table: "s.t", columns: ["n"], rows: rows.prefix(1) + [])
                    throw Changed()
                }
            }
            #expect(try await client.query("SELECT n FROM s.t").column(Int.self) == [2])
        }
    }

    @Test func `A stream hands out every row in batches`() async throws {
        try await withDatabase { client in
            let seen = Counter()
            try await client.withExclusive { session in
                let limit = 2500
                try await session.stream("SELECT n FROM generate_series(1, \(limit)) n", batch: 1000) { rows in
                    #expect(rows.count <= 1000)
                    seen.add(try rows.column(Int.self).reduce(0, +))
                }
            }
            #expect(seen.value == 2500 * 2501 / 2)
        }
    }

    @Test func `A script runs as a whole or not at all`() async throws {
        try await withDatabase(shared: 1, exclusive: 1) { client in
            try await client.withExclusive { session in
                try await session.script("CREATE TABLE m (n int); INSERT INTO m VALUES (1); -- a; comment")
                let error = try await failure {
                    try await session.script("INSERT INTO m VALUES (2); INSERT INTO nowhere VALUES (1)")
                }
                #expect(error.sqlState == "42P01")
                #expect(try await session.query("SELECT n FROM m").column(Int.self) == [1])
            }
            let error = try await failure {
                try await client.withExclusive { try await $0.script("COPY m FROM STDIN") }
            }
            #expect(error.kind == .encoding)
            #expect(try await client.query("SELECT n FROM m").column(Int.self) == [1])
        }
    }
}
