import Foundation
import Postgres
import Testing

@Suite("Values", .serialized, .timeLimit(.minutes(2)))
struct ValueTests {
    struct ReportID: RawRepresentable, Hashable, Sendable {
        var rawValue: UUID
    }

    enum Lane: String, Sendable {
        case emergency, routine
    }

    @Test func `Every type comes back as it went`() async throws {
        try await withDatabase { client in
            let id = UUID()
            let text = "quotes ' \" backslash \\ comma , brace { 水闸 \u{1F30A} tab\t line\n"
            let time = Date(timeIntervalSince1970: 1_795_596_141.123456)
            let bytes: [UInt8] = [0, 1, 39, 92, 255]
            let row = try await client.query(
                """
                SELECT \(id)::uuid AS id, \(text)::text AS text, \(time) AS time, \(bytes) AS bytes, \(true) AS flag,
                    \(Int.min)::int8 AS int, \(Int32.max) AS int4, \(Int16.min) AS int2, \(0.1) AS double,
                    \([text, "", "NULL"])::text[] AS texts, \([id]) AS ids, \([1, nil, 3] as [Int?])::int8[] AS ints,
                    \(String?.none)::text AS nothing, \(JSONB(#"{"a": [1]}"#)) AS json, \([Double.infinity]) AS doubles,
                    \([String]())::text[] AS none, \(Duration.milliseconds(-1500)) AS span
                """
            )[0]
            #expect(try row.decode("id") == id)
            #expect(try row.decode("text") == text)
            #expect(try row.decode("time", as: Date.self).timeIntervalSince1970 == time.timeIntervalSince1970)
            #expect(try row.decode("bytes", as: [UInt8].self) == bytes)
            #expect(try row.decode("flag") == true)
            #expect(try row.decode("int") == Int.min)
            #expect(try row.decode("int4") == Int32.max)
            #expect(try row.decode("int2") == Int16.min)
            #expect(try row.decode("double") == 0.1)
            #expect(try row.decode("texts") == [text, "", "NULL"])
            #expect(try row.decode("ids") == [id])
            #expect(try row.decode("ints", as: [Int?].self) == [1, nil, 3])
            #expect(try row.decode("nothing", as: String?.self) == nil)
            #expect(try row.decode("json", as: JSONB.self).decode([String: [Int]].self) == ["a": [1]])
            #expect(try row.decode("doubles") == [Double.infinity])
            #expect(try row.decode("none") == [String]())
            #expect(try row.decode("span", as: String.self) == "-00:00:01.5")
        }
    }

    @Test func `Typed ids and enums need no conformance`() async throws {
        try await withDatabase { client in
            let id = ReportID(rawValue: UUID())
            let row = try await client.query(
                "SELECT \(id) AS id, \(Lane.emergency)::text AS lane, \([id]) AS ids, \(ReportID?.none) AS none")[0]
            #expect(try row.decode("id", as: ReportID.self) == id)
            #expect(try row.decode("lane", as: Lane.self) == .emergency)
            #expect(try row.decode("ids", as: [ReportID].self) == [id])
            #expect(try row.decode("none", as: ReportID?.self) == nil)
        }
    }

    @Test(arguments: [
        "2026-11-25 08:42:21.123456+00", "1969-12-31 23:59:59.999999+00", "0001-01-01 00:00:00+00",
        "2000-02-29 12:00:00+00", "9999-12-31 23:59:59+00", "infinity", "-infinity",
    ])
    func `Times are the server's to the microsecond`(text: String) async throws {
        try await withDatabase { client in
            let row = try await client.query(
                "SELECT \(text)::timestamptz AS t, extract(epoch FROM \(text)::timestamptz)")[0]
            let time = try row.decode("t", as: Date.self)
            let again = try await client.query("SELECT (\(time) = \(text)::timestamptz) AS same")[0]
            #expect(try again.decode("same") == true)
        }
    }

    @Test func `A zero byte or too many parameters are refused before anything is sent`() async throws {
        try await withDatabase { client in
            let error = try await failure { try await client.segment(["SELECT 1", "SELECT \("a\0b")::text"]) }
            #expect(error.kind == .encoding)
            #expect(error.statementIndex == 1)
            let many = SQL("SELECT 1 WHERE 1 IN (") + .joined((0..<65_536).map { "\($0)" }) + ")"
            #expect(try await failure { try await client.query(many) }.kind == .encoding)
        }
    }

    @Test func `Errors show no values`() async throws {
        try await withDatabase("CREATE TABLE a (n int PRIMARY KEY, note text)") { client in
            let secret = "Zhang San \" 138"
            let cast = try await failure { try await client.query("SELECT \(secret)::int") }
            #expect(cast.sqlState == "22P02")
            #expect(!"\(cast)".contains("Zhang"))
            #expect(!String(reflecting: cast).contains("138"))
            try await client.query("INSERT INTO a VALUES (4711)")
            let twice = try await failure { try await client.query("INSERT INTO a VALUES (4711)") }
            #expect(!String(reflecting: twice).contains("4711"))
            #expect("\(Secret("x"))" == "***")
        }
    }

    @Test func `A value that does not fit names its column`() async throws {
        try await withDatabase { client in
            let row = try await client.query("SELECT 'x' AS name, NULL::int AS n")[0]
            let wrong = try await failure { try row.decode("name", as: Int.self) }
            #expect(wrong.kind == .decoding)
            #expect(wrong.column == "name")
            #expect(try await failure { try row.decode("n", as: Int.self) }.column == "n")
            #expect(try await failure { try row.decode("missing", as: Int.self) }.column == "missing")
            #expect(try await failure { try row.decode(9, as: Int.self) }.kind == .decoding)
        }
    }
}
