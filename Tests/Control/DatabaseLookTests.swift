import Postgres
import PrivateServers
import Schema
import Testing

@testable import ControlCommands

@Suite("The doctor's look at the database")
struct DatabaseLookTests {
    private func findings(_ connection: ScriptConnection) async throws -> [String: CheckFinding.Status] {
        var findings: [String: CheckFinding.Status] = [:]
        for look in DatabaseLook.all {
            findings[look.name] = look.judge(try await connection.rows(look.sql).first ?? []).status
        }
        return findings
    }

    @Test("a fresh city lacks people and places, and nothing else")
    func fresh() async throws {
        let server = try PrivatePostgres.shared()
        let database = try await server.migratedDatabase()
        let found = try await findings(server.open("sluice_control", database: database))
        let bad = Set(found.filter { $0.value == .bad }.keys)
        #expect(bad == ["catalogue", "map", "accounts"])
    }

    @Test("what was loosened is found")
    func loosened() async throws {
        let server = try PrivatePostgres.shared()
        let database = try await server.migratedDatabase()
        try await server.open("postgres", database: database).run(
            """
            ALTER FUNCTION geometry_overlaps(geometry, geometry) NOT LEAKPROOF;
            ALTER TABLE dispatch.crew NO FORCE ROW LEVEL SECURITY;
            CREATE TABLE dispatch.loose (district_id uuid);
            ALTER TABLE dispatch.case_file DISABLE ROW LEVEL SECURITY;
            """)
        let connection = try await server.open("sluice_control", database: database)
        let found = try await findings(connection)
        #expect(found["leakproof"] == .bad)
        #expect(found["scope"] == .bad)
        let scope = try #require(DatabaseLook.all.first { $0.name == "scope" })
        let fact = scope.judge(try await connection.rows(scope.sql).first ?? []).fact
        for table in ["dispatch.crew", "dispatch.loose", "dispatch.case_file"] { #expect(fact.contains(table)) }
    }

    @Test("a view that lost its grant or its row is found")
    func closedView() async throws {
        let server = try PrivatePostgres.shared()
        let database = try await server.migratedDatabase()
        try await server.open("postgres", database: database).run(
            "DELETE FROM dispatch.category WHERE code = 'sentinel'")
        let found = try await findings(server.open("sluice_control", database: database))
        #expect(found["sentinels"] == .bad)
    }
}
