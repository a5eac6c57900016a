import Postgres
import PrivateServers
import Schema
import Testing

@Suite("The migrator")
struct MigratorTests {
    private let first = MigrationFile(name: "0001_a.sql", sql: "CREATE SCHEMA a; CREATE TABLE a.t (n integer);")
    private let second = MigrationFile(
        name: "0002_b.sql", sql: "INSERT INTO a.t VALUES (1); INSERT INTO a.t VALUES (2);")

    private func migrator(_ database: String, _ files: [MigrationFile]) async throws -> Migrator {
        Migrator(
            connection: try await PrivatePostgres.shared().open("sluice_migrate", database: database), files: files)
    }

    private func count(_ database: String) async throws -> String? {
        try await PrivatePostgres.shared().open("postgres", database: database)
            .rows("SELECT count(*) FROM a.t").first?[0]
    }

    @Test("applies files in the order of their names, each once")
    func order() async throws {
        let database = try await PrivatePostgres.shared().emptyDatabase()
        #expect(try await migrator(database, [second, first]).migrate() == ["0001_a.sql", "0002_b.sql"])
        #expect(try await migrator(database, [first, second]).migrate() == [])
        #expect(try await count(database) == "2")
    }

    @Test("applies a file that another part adds later below the last number")
    func gaps() async throws {
        let database = try await PrivatePostgres.shared().emptyDatabase()
        let third = MigrationFile(name: "0003_c.sql", sql: "CREATE TABLE a.c ()")
        try await migrator(database, [first, third]).migrate()
        #expect(try await migrator(database, [first, second, third]).migrate() == ["0002_b.sql"])
    }

    @Test("refuses a file that was changed after it was applied, by name, and applies nothing")
    func changed() async throws {
        let database = try await PrivatePostgres.shared().emptyDatabase()
        try await migrator(database, [first]).migrate()
        let altered = MigrationFile(name: first.name, sql: first.sql + " ")
        let error = await #expect(throws: SchemaError.self) {
            try await migrator(database, [altered, second]).migrate()
        }
        #expect("\(try #require(error))".contains("0001_a.sql"))
        #expect(try await count(database) == "0")
    }

    @Test("refuses a database that is newer than the program")
    func newer() async throws {
        let database = try await PrivatePostgres.shared().emptyDatabase()
        try await migrator(database, [first, second]).migrate()
        let error = await #expect(throws: SchemaError.self) { try await migrator(database, [first]).migrate() }
        #expect("\(try #require(error))".contains("0002_b.sql"))
    }

    @Test("leaves nothing of a file that fails, and names file and line")
    func failure() async throws {
        let database = try await PrivatePostgres.shared().emptyDatabase()
        let broken = MigrationFile(name: "0002_b.sql", sql: "INSERT INTO a.t VALUES (1);\n\nSELECT nothing_like_it();")
        let error = await #expect(throws: SchemaError.self) {
            try await migrator(database, [first, broken]).migrate()
        }
        #expect("\(try #require(error))".contains("0002_b.sql: line 3"))
        #expect(try await count(database) == "0")
        // The next run goes on from there.
        #expect(try await migrator(database, [first, second]).migrate() == ["0002_b.sql"])
    }

    @Test("refuses a file that ends its transaction itself")
    func commits() async throws {
        let database = try await PrivatePostgres.shared().emptyDatabase()
        let sneaky = MigrationFile(name: "0001_a.sql", sql: "CREATE SCHEMA a; COMMIT;")
        let error = await #expect(throws: SchemaError.self) { try await migrator(database, [sneaky]).migrate() }
        #expect("\(try #require(error))".contains("transaction"))
    }

    @Test("excludes a second migrator: both at once apply each file once")
    func together() async throws {
        let database = try await PrivatePostgres.shared().emptyDatabase()
        async let one = migrator(database, [first, second]).migrate()
        async let other = migrator(database, [first, second]).migrate()
        #expect(try await one.count + other.count == 2)
        #expect(try await count(database) == "2")
    }

    @Test("everything it makes belongs to the owner, whom nobody can sign in as")
    func owner() async throws {
        let server = try PrivatePostgres.shared()
        let database = try await server.migratedDatabase()
        let connection = try await server.open("postgres", database: database)
        let strangers = try await connection.rows(
            """
            SELECT c.oid::regclass::text
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('sluice', 'intake', 'dispatch', 'gis', 'scoring', 'notification')
              AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
              AND c.relowner <> 'sluice_owner'::regrole
            """)
        #expect(strangers.isEmpty)
        #expect(
            try await connection.rows("SELECT rolcanlogin OR rolsuper FROM pg_roles WHERE rolname = 'sluice_owner'")
                .first?[0] == "f")
    }

    @Test("a bootstrap may be repeated and sets passwords anew")
    func bootstrapAgain() async throws {
        let server = try PrivatePostgres.shared()
        let database = try await server.emptyDatabase()
        try await Bootstrap(
            server: server.settings("postgres", database: database), passwords: PrivatePostgres.passwords
        ).run()
        let connection = try await server.open("sluice_control", database: database)
        #expect(try await connection.rows("SELECT current_user").first?[0] == "sluice_control")
    }

    @Test("a bootstrap needs a password for every role that signs in")
    func bootstrapPasswords() async throws {
        let server = try PrivatePostgres.shared()
        var passwords = PrivatePostgres.passwords
        passwords["sluice_gis_bg"] = nil
        await #expect(throws: SchemaError.self) {
            try await Bootstrap(server: server.settings("postgres", database: "never"), passwords: passwords).run()
        }
    }
}
