import Foundation
import Model
import Postgres
import PrivateServers
import Schema
import Testing

/// One migrated database for all tests that only look.
private actor MigratedDatabase {
    static let shared = MigratedDatabase()
    private var name: Task<String, any Error>?

    func open(_ role: String = "postgres") async throws -> ScriptConnection {
        let server = try PrivatePostgres.shared()
        if name == nil { name = Task { try await server.migratedDatabase() } }
        guard let name else { throw CancellationError() }
        return try await server.open(role, database: await name.value)
    }
}

@Suite("CONTRACTS.md, the database")
struct SchemaContractTests {
    private static let schemas = ServiceName.allCases.map(\.schema)
    private static let httpRoles = schemas.map { "sluice_\($0)_http" }

    /// What the page says of a view or function: its name, columns, and who reads it.
    private static func views() throws -> [(name: String, columns: [String], readers: [String])] {
        try ContractsPage().rows(5) { $0[0].hasPrefix("`") }.map { row in
            // Descriptions are in parentheses or after a dash; `text[]` and the like are types.
            var text = row[1].replacing("`", with: "")
            while let open = text.firstIndex(of: "("), let close = text[open...].firstIndex(of: ")") {
                text.removeSubrange(open...close)
            }
            text = text.components(separatedBy: " — ")[0]
            let columns = text.split(separator: ",").compactMap { $0.split(separator: " ").first.map(String.init) }
            let readers = row[2].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
            return (ContractsPage.codes(row[0])[0], columns, readers)
        }
    }

    @Test("every view on the page has its columns, and those who read it may")
    func views() async throws {
        let connection = try await MigratedDatabase.shared.open()
        for view in try Self.views() {
            let rows = try await connection.rows(
                """
                SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
                """, [view.name])
            let found = Set(rows.compactMap { $0[0] })
            #expect(!found.isEmpty, "\(view.name) is not there")
            #expect(Set(view.columns).subtracting(found).isEmpty, "\(view.name) lacks columns")
            guard !found.isEmpty else { continue }
            for reader in view.readers where reader != "–" {
                let services = reader == "all" ? ServiceName.allCases : [try #require(ServiceName(rawValue: reader))]
                for role in services.flatMap({ ["sluice_\($0.schema)_http", "sluice_\($0.schema)_bg"] }) {
                    let may = try await connection.rows(
                        "SELECT has_table_privilege($1, $2, 'SELECT')", [role, view.name])
                    #expect(may.first == ["t"], "\(role) may not read \(view.name)")
                }
            }
        }
    }

    @Test("each service has the messaging tables and views of the page")
    func messaging() async throws {
        let connection = try await MigratedDatabase.shared.open()
        let tables = try ContractsPage().rows(4) { $0[0].hasPrefix("`") }.flatMap { ContractsPage.codes($0[0]) }
        #expect(tables.count == 7)
        for schema in Self.schemas {
            for name in tables + ["api_history", "api_inbox", "api_emergency_outbox"] {
                let found = try await connection.rows("SELECT to_regclass($1) IS NOT NULL", ["\(schema).\(name)"])
                #expect(found.first == ["t"], "\(schema).\(name)")
            }
        }
    }

    @Test("every table with a district is under row-level security that binds its owner too")
    func policies() async throws {
        let open = try await MigratedDatabase.shared.open().rows(
            """
            SELECT c.oid::regclass::text
            FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'district_id' AND NOT a.attisdropped
            WHERE c.relnamespace::regnamespace::text = ANY ($1::text[])
              AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND NOT (c.relrowsecurity AND c.relforcerowsecurity
                       AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
            """, ["{\(Self.schemas.joined(separator: ","))}"])
        #expect(open.isEmpty, "\(open.compactMap { $0[0] })")
    }

    @Test("the city-wide tables on the page are those without a district")
    func cityWide() async throws {
        let text = try ContractsPage().text
        let begins = try #require(text.range(of: "City-wide tables"))
        let ends = try #require(text.range(of: "## 2."))
        let listed = Set(
            ContractsPage.codes(String(text[begins.lowerBound..<ends.lowerBound])).filter { !$0.contains("<") })
        let messaging = [
            "inbox", "retry", "lane_attempt", "task_lease", "outbox_turn", "idempotency",
        ]
        let found = try await MigratedDatabase.shared.open().rows(
            """
            SELECT c.oid::regclass::text
            FROM pg_class c
            WHERE c.relnamespace::regnamespace::text = ANY ($1::text[]) AND c.relkind IN ('r', 'p')
              AND NOT c.relispartition AND c.relname <> ALL ($2::text[])
              AND NOT EXISTS (SELECT FROM pg_attribute a
                              WHERE a.attrelid = c.oid AND a.attname = 'district_id' AND NOT a.attisdropped)
            """, ["{\(Self.schemas.joined(separator: ","))}", "{\(messaging.joined(separator: ","))}"])
        #expect(Set(found.compactMap { $0[0] }) == listed)
    }

    @Test("policies name no role, so that they hold for whoever reads a view")
    func policyRoles() async throws {
        let named = try await MigratedDatabase.shared.open().rows(
            "SELECT polrelid::regclass::text, polname FROM pg_policy WHERE polroles <> '{0}'")
        #expect(named.isEmpty, "\(named)")
    }

    @Test("nobody was granted anything on a partition, and each is closed by itself")
    func partitions() async throws {
        let connection = try await MigratedDatabase.shared.open()
        let granted = try await connection.rows(
            """
            SELECT c.oid::regclass::text, r.rolname
            FROM pg_class c CROSS JOIN pg_roles r
            WHERE c.relispartition AND c.relkind = 'r' AND r.rolname LIKE 'sluice\\_%'
              AND r.rolname NOT IN ('sluice_owner', 'sluice_migrate')
              AND has_table_privilege(r.oid, c.oid, 'SELECT')
            """)
        #expect(granted.isEmpty, "\(granted)")
        let open = try await connection.rows(
            """
            SELECT c.oid::regclass::text
            FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
            WHERE c.relispartition AND p.relrowsecurity AND NOT c.relrowsecurity
            """)
        #expect(open.isEmpty, "\(open)")
    }

    @Test("views read as their owner; none is handed to the reader's rights")
    func viewOptions() async throws {
        let invokers = try await MigratedDatabase.shared.open().rows(
            """
            SELECT oid::regclass::text FROM pg_class
            WHERE relkind = 'v' AND array_to_string(reloptions, ',') LIKE '%security_invoker%'
            """)
        #expect(invokers.isEmpty, "\(invokers)")
    }

    @Test("functions that run with the owner's rights have a fixed search path")
    func definers() async throws {
        let loose = try await MigratedDatabase.shared.open().rows(
            """
            SELECT p.oid::regprocedure::text
            FROM pg_proc p
            WHERE p.prosecdef
              AND p.pronamespace::regnamespace::text = ANY ($1::text[])
              AND NOT coalesce(array_to_string(p.proconfig, ','), '') LIKE '%search_path=%'
            """, ["{sluice,\(Self.schemas.joined(separator: ","))}"])
        #expect(loose.isEmpty, "\(loose)")
    }

    @Test("no function is open to everybody")
    func functions() async throws {
        let open = try await MigratedDatabase.shared.open().rows(
            """
            SELECT p.oid::regprocedure::text
            FROM pg_proc p
            WHERE p.pronamespace::regnamespace::text = ANY ($1::text[])
              AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))
            """, ["{sluice,\(Self.schemas.joined(separator: ","))}"])
        #expect(open.isEmpty, "\(open)")
    }

    @Test("a service writes its own schema only")
    func writers() async throws {
        let connection = try await MigratedDatabase.shared.open()
        for schema in Self.schemas {
            let foreign = try await connection.rows(
                """
                SELECT r.rolname, c.oid::regclass::text
                FROM pg_class c CROSS JOIN pg_roles r
                WHERE c.relnamespace::regnamespace::text = $1 AND c.relkind IN ('r', 'p', 'v')
                  AND r.rolname ~ '^sluice_.*_(http|bg)$' AND r.rolname !~ ('^sluice_' || $1 || '_(http|bg)$')
                  AND (has_table_privilege(r.oid, c.oid, 'INSERT') OR has_table_privilege(r.oid, c.oid, 'UPDATE')
                       OR has_table_privilege(r.oid, c.oid, 'DELETE')
                       OR (c.relname NOT LIKE 'api\\_%' AND has_table_privilege(r.oid, c.oid, 'SELECT')))
                """, [schema])
            #expect(foreign.isEmpty, "\(foreign)")
        }
    }

    @Test("every view's permanent row is seen by every HTTP role without a scope", arguments: httpRoles)
    func sentinels(_ role: String) async throws {
        let missing = try await MigratedDatabase.shared.open(role).rows(
            "SELECT v FROM sluice.missing_sentinels(ARRAY(SELECT view_name FROM sluice.sentinel)) v")
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test("history is append-only, and every big table is ready for the months ahead")
    func upkeep() async throws {
        let connection = try await MigratedDatabase.shared.open()
        for schema in Self.schemas {
            let may = try await connection.rows(
                """
                SELECT has_table_privilege('sluice_' || $1 || '_bg', $1 || '.history', 'UPDATE'),
                       has_table_privilege('sluice_' || $1 || '_bg', $1 || '.history', 'DELETE'),
                       has_table_privilege('sluice_' || $1 || '_bg', $1 || '.history', 'INSERT')
                """, [schema])
            #expect(may.first == ["f", "f", "t"], "\(schema)")
        }
        let short = try await connection.rows(
            """
            SELECT i.inhparent::regclass::text, count(*)
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE c.relname ~ '_y[0-9]{4}m[0-9]{2}$'
            GROUP BY 1
            HAVING count(*) < 8
            """)
        #expect(short.isEmpty, "\(short)")
    }
}
