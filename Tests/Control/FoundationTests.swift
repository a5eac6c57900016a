import Postgres
import PrivateServers
import Schema
import Testing

/// What 0001_foundation.sql promises, seen as the roles that will meet it.
@Suite("The schema's foundation")
struct FoundationTests {
    private static let a = "00000000-0000-7000-8000-00000000000a"
    private static let b = "00000000-0000-7000-8000-00000000000b"

    /// A schema as a service's migration makes it: facts of two districts and of the city, a map, views.
    private static let sample = MigrationFile(
        name: "9000_sample.sql",
        sql: """
            SELECT set_config('sluice.districts', '*', true);
            CREATE SCHEMA IF NOT EXISTS intake;
            CREATE TABLE intake.fact (
                id uuid DEFAULT sluice.uuid_v7(), district_id uuid NOT NULL, responsible_district_id uuid, n integer
            ) PARTITION BY RANGE (id);
            SELECT sluice.ensure_month_partitions('intake.fact');
            SELECT sluice.protect('intake.fact');
            CREATE TABLE intake.map (district_id uuid NOT NULL, n integer);
            SELECT sluice.protect('intake.map', 'map');
            CREATE TABLE intake.ledger (district_id uuid NOT NULL, n integer);
            SELECT sluice.protect('intake.ledger');
            SELECT sluice.make_append_only('intake.ledger');
            CREATE FUNCTION intake.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN n * 2;
            CREATE VIEW intake.api_fact AS SELECT id, n, intake.twice(n) AS twice FROM intake.fact;
            INSERT INTO intake.fact (district_id, responsible_district_id, n) VALUES
                ('\(a)', NULL, 1), ('\(b)', '\(a)', 2), ('\(b)', NULL, 3), (sluice.city(), NULL, 4);
            INSERT INTO intake.map VALUES ('\(a)', 1), ('\(b)', 2);
            INSERT INTO sluice.sentinel VALUES ('intake.api_fact', 'n', '4');
            SELECT sluice.grant_service('intake');
            """)

    private static func database() async throws -> String {
        let server = try PrivatePostgres.shared()
        let name = try await server.emptyDatabase()
        let foundation = try MigrationFile.shipped().filter { $0.name.hasPrefix("0001") }
        try await Migrator(
            connection: server.open("sluice_migrate", database: name), files: foundation + [sample]
        ).migrate()
        return name
    }

    /// The numbers that a role sees under a scope, as text.
    private static func seen(
        _ query: String, _ database: String, as role: String, scope: String?
    ) async throws -> String? {
        let connection = try await PrivatePostgres.shared().open(role, database: database)
        if let scope { try await connection.rows("SELECT set_config('sluice.districts', $1, false)", [scope]) }
        return try await connection.rows(query).first?[0]
    }

    @Test("a reader sees its districts, what it is responsible for, and the city, through tables and views alike")
    func scope() async throws {
        let database = try await Self.database()
        let table = "SELECT string_agg(n::text, ',' ORDER BY n) FROM intake.fact"
        let view = "SELECT string_agg(n::text, ',' ORDER BY n) FROM intake.api_fact"
        #expect(try await Self.seen(table, database, as: "sluice_intake_http", scope: nil) == "4")
        #expect(try await Self.seen(table, database, as: "sluice_intake_http", scope: "") == "4")
        #expect(try await Self.seen(table, database, as: "sluice_intake_http", scope: Self.a) == "1,2,4")
        #expect(try await Self.seen(table, database, as: "sluice_intake_http", scope: Self.b) == "2,3,4")
        #expect(try await Self.seen(view, database, as: "sluice_intake_http", scope: Self.a) == "1,2,4")
        #expect(try await Self.seen(view, database, as: "sluice_dispatch_http", scope: Self.a) == "1,2,4")
        #expect(try await Self.seen(view, database, as: "sluice_dispatch_http", scope: "*") == "1,2,3,4")
        #expect(try await Self.seen(view, database, as: "sluice_dispatch_bg", scope: nil) == "1,2,3,4")
        #expect(try await Self.seen(table, database, as: "sluice_control", scope: nil) == "1,2,3,4")
    }

    @Test("nobody reads another service's tables, any partition, or more than a scope by asking for a bad one")
    func breakIns() async throws {
        let database = try await Self.database()
        for (query, role, scope) in [
            ("SELECT n FROM intake.fact", "sluice_dispatch_bg", nil),
            ("SELECT n FROM intake.fact_default", "sluice_intake_bg", nil),
            ("SELECT n FROM intake.fact_default", "sluice_control", nil),
            ("SELECT n FROM intake.fact", "sluice_intake_http", "' OR true OR '"),
            ("SET ROLE sluice_owner", "sluice_intake_bg", nil),
            ("SET ROLE sluice_background", "sluice_intake_http", nil),
            ("INSERT INTO intake.fact (district_id) VALUES ('\(Self.b)')", "sluice_intake_http", Self.a),
            ("INSERT INTO intake.fact (district_id) VALUES (sluice.city())", "sluice_intake_http", Self.a),
            ("UPDATE intake.fact SET district_id = '\(Self.b)' WHERE n = 1", "sluice_intake_http", Self.a),
            ("INSERT INTO intake.map VALUES ('\(Self.b)', 9)", "sluice_intake_http", Self.a),
            ("UPDATE intake.ledger SET n = 1", "sluice_intake_bg", nil),
            ("DELETE FROM intake.ledger", "sluice_control", nil),
            ("TRUNCATE intake.fact", "sluice_intake_bg", nil),
            ("CREATE TABLE intake.mine ()", "sluice_intake_bg", nil),
            ("ALTER TABLE intake.fact DISABLE ROW LEVEL SECURITY", "sluice_intake_bg", nil),
        ] as [(String, String, String?)] {
            await #expect(throws: ScriptError.self, "\(role): \(query)") {
                _ = try await Self.seen(query, database, as: role, scope: scope)
            }
        }
    }

    @Test("a change outside the scope touches no row")
    func silentWrites() async throws {
        let database = try await Self.database()
        let city =
            "WITH u AS (UPDATE intake.fact SET n = 9 WHERE district_id = sluice.city() RETURNING 1) SELECT count(*) FROM u"
        #expect(try await Self.seen(city, database, as: "sluice_intake_http", scope: Self.a) == "0")
        #expect(try await Self.seen(city, database, as: "sluice_intake_bg", scope: nil) == "1")
        let other = "WITH d AS (DELETE FROM intake.fact WHERE n = 3 RETURNING 1) SELECT count(*) FROM d"
        #expect(try await Self.seen(other, database, as: "sluice_intake_http", scope: Self.a) == "0")
    }

    @Test("the map is read by everybody and written in the district")
    func map() async throws {
        let database = try await Self.database()
        let count = "SELECT count(*) FROM intake.map"
        #expect(try await Self.seen(count, database, as: "sluice_intake_http", scope: nil) == "2")
        let insert = "WITH i AS (INSERT INTO intake.map VALUES ('\(Self.a)', 3) RETURNING 1) SELECT count(*) FROM i"
        #expect(try await Self.seen(insert, database, as: "sluice_intake_http", scope: Self.a) == "1")
    }

    @Test("a migration moves data as the role that passes the policies, and only so")
    func dataMoves() async throws {
        let database = try await Self.database()
        let server = try PrivatePostgres.shared()
        let connection = try await server.open("sluice_migrate", database: database)
        #expect(try await connection.rows("SELECT count(*) FROM intake.fact").first?[0] == "4")
        try await connection.run("SET ROLE sluice_owner")
        // The owner is held to the policies too.
        #expect(try await connection.rows("SELECT count(*) FROM intake.fact").first?[0] == "1")
    }

    @Test("sentinels tell an empty view from a closed one")
    func sentinels() async throws {
        let database = try await Self.database()
        let query = "SELECT string_agg(v, ',') FROM sluice.missing_sentinels(ARRAY['intake.api_fact']) v"
        #expect(try await Self.seen(query, database, as: "sluice_scoring_http", scope: nil) == nil)
        let none = "SELECT string_agg(v, ',') FROM sluice.missing_sentinels(ARRAY['intake.api_none']) v"
        #expect(try await Self.seen(none, database, as: "sluice_scoring_http", scope: nil) == "intake.api_none")
    }

    @Test("ids carry their time, sort by it, and are version 7")
    func ids() async throws {
        let database = try await Self.database()
        let connection = try await PrivatePostgres.shared().open("sluice_intake_http", database: database)
        let rows = try await connection.rows(
            """
            SELECT sluice.uuid_v7_time(sluice.uuid_v7(t)) = t,
                   substr(sluice.uuid_v7(t)::text, 15, 1),
                   substr(sluice.uuid_v7(t)::text, 20, 1) IN ('8', '9', 'a', 'b'),
                   sluice.uuid_v7(t) >= sluice.uuid_v7_floor(t),
                   sluice.uuid_v7(t - interval '1 ms') < sluice.uuid_v7_floor(t),
                   sluice.uuid_v7_time(gen_random_uuid()) IS NULL
            FROM (VALUES ('2026-11-25T08:00:00.123Z'::timestamptz)) v (t)
            """)
        #expect(rows.first == ["t", "7", "t", "t", "t", "t"])
    }

    @Test("monthly partitions: last month's to six ahead, repeatable, and a crowded default stops nothing")
    func partitions() async throws {
        let database = try await Self.database()
        let background = try await PrivatePostgres.shared().open("sluice_intake_bg", database: database)
        #expect(try await background.rows("SELECT sluice.ensure_month_partitions('intake.fact')").first?[0] == "6")
        try await background.rows(
            """
            INSERT INTO intake.fact (id, district_id, n)
            VALUES (sluice.uuid_v7(clock_timestamp() + interval '7 months 10 days'), sluice.city(), 5)
            """)
        #expect(try await background.rows("SELECT sluice.ensure_month_partitions('intake.fact', 9)").first?[0] == "8")
        #expect(try await background.rows("SELECT count(*) FROM intake.fact").first?[0] == "5")
    }

    @Test("bounding-box operators do not keep a policy from using an index")
    func leakproof() async throws {
        let database = try await Self.database()
        let connection = try await PrivatePostgres.shared().open("postgres", database: database)
        let marks = try await connection.rows(
            """
            SELECT bool_and(p.proleakproof)
            FROM pg_proc p
            WHERE p.proname IN ('geometry_overlaps', 'geography_overlaps', 'geometry_within', 'geometry_contains')
            """)
        #expect(marks.first == ["t"])
    }
}
