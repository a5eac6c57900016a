/// One look of the doctor's at the database: a statement that answers one row, and what its columns mean.
struct DatabaseLook: Sendable {
    var name: String
    var sql: String
    /// The row's texts. Nil in it is NULL.
    var judge: @Sendable ([String?]) -> CheckFinding

    /// A statement that lists what is wrong in its one column; NULL if nothing is.
    static func faults(
        _ name: String, _ sql: String, good: String, bad: String, mend: String, isDoubt: Bool = false
    ) -> DatabaseLook {
        DatabaseLook(name: name, sql: sql) { row in
            let check = "database.\(name)"
            guard let faults = row.first ?? nil, !faults.isEmpty else { return .good(check, good) }
            return isDoubt
                ? .doubtful(check, "\(bad): \(faults)", mend: mend) : .bad(check, "\(bad): \(faults)", mend: mend)
        }
    }

    static let all: [DatabaseLook] = settings + rights + upkeep

    private static let settings: [DatabaseLook] = [
        .faults(
            "version",
            """
            SELECT CASE WHEN current_setting('server_version_num')::integer < 150000
                        THEN current_setting('server_version') END
            """,
            good: "PostgreSQL 15 or newer", bad: "too old", mend: "install postgresql-15"),
        .faults(
            "primary", "SELECT CASE WHEN pg_is_in_recovery() THEN 'this server is a standby' END",
            good: "takes writes", bad: "takes no writes", mend: "let SLUICE_DB_HOST name the primary"),
        .faults(
            "durability",
            """
            SELECT string_agg(name || ' = ' || setting, ', ')
            FROM pg_settings
            WHERE (name IN ('fsync', 'full_page_writes') AND setting <> 'on')
               OR (name = 'synchronous_commit' AND setting = 'off')
            """,
            good: "commits survive a loss of power", bad: "commits may be lost",
            mend: "set them to on in postgresql.conf and restart"),
        .faults(
            "postgis",
            "SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis') THEN 'none' END",
            good: "PostGIS is there", bad: "no PostGIS",
            mend: "apt-get install postgresql-15-postgis-3, then `sluicectl migrate --bootstrap`"),
        .faults(
            "connections",
            """
            SELECT CASE WHEN current_setting('max_connections')::integer < 100
                        THEN current_setting('max_connections') END
            """,
            good: "enough connections for the five services and two more dispatch instances",
            bad: "max_connections is small", mend: "max_connections = 200", isDoubt: true),
        .faults(
            "timeouts",
            """
            SELECT string_agg(rolname, ', ' ORDER BY rolname)
            FROM pg_roles
            WHERE rolname ~ '^sluice_.*_(http|bg)$'
              AND NOT coalesce(array_to_string(rolconfig, ' '), '') ~ 'idle_in_transaction_session_timeout=1s'
            """,
            good: "each role has its time-outs", bad: "roles without their time-outs",
            mend: "sluicectl migrate --bootstrap"),
    ]

    private static let rights: [DatabaseLook] = [
        .faults(
            "leakproof",
            """
            SELECT string_agg(p.oid::regprocedure::text, ', ')
            FROM pg_proc p
            WHERE p.proname IN ('geometry_overlaps', 'geography_overlaps', 'geometry_within', 'geometry_contains')
              AND NOT p.proleakproof
            """,
            good: "bounding-box operators may use indexes below policies",
            bad: "not LEAKPROOF, so map queries read whole tables",
            mend: "sluicectl migrate --bootstrap (an upgrade of PostGIS forgets the marks)"),
        .faults(
            "scope",
            """
            SELECT string_agg(c.oid::regclass::text, ', ')
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'district_id'
            WHERE c.relnamespace::regnamespace::text IN ('intake', 'dispatch', 'gis', 'scoring', 'notification')
              AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND c.relpersistence <> 'u'
              AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
            """,
            good: "every table with a district is under row-level security, forced",
            bad: "open tables", mend: "a migration must call sluice.protect for each"),
        .faults(
            "roles",
            """
            SELECT string_agg(rolname, ', ')
            FROM pg_roles
            WHERE rolname LIKE 'sluice\\_%'
              AND (rolsuper OR rolcreaterole OR rolcreatedb
                   OR (rolbypassrls AND rolname <> 'sluice_migrate')
                   OR (rolname LIKE '%\\_http' AND pg_has_role(rolname, 'sluice_background', 'member')))
            """,
            good: "no role may more than it should", bad: "roles with too many rights",
            mend: "ALTER ROLE … NOSUPERUSER NOBYPASSRLS …, REVOKE sluice_background FROM …"),
        .faults(
            "sentinels",
            "SELECT string_agg(v, ', ') FROM sluice.missing_sentinels(ARRAY(SELECT view_name FROM sluice.sentinel)) v",
            good: "every view shows its permanent row", bad: "views that show nothing",
            mend: "a grant or a policy is broken: compare with Shared/Schema/README.md"),
    ]

    private static let upkeep: [DatabaseLook] = [
        .faults(
            "partitions",
            """
            SELECT string_agg(name, ', ')
            FROM (
                SELECT p.oid::regclass::text AS name
                FROM pg_class p
                JOIN pg_inherits i ON i.inhparent = p.oid
                JOIN pg_class c ON c.oid = i.inhrelid
                WHERE p.relkind = 'p' AND c.relname ~ '_y[0-9]{4}m[0-9]{2}$'
                GROUP BY p.oid
                HAVING max(substring(c.relname FROM '_y([0-9]{4}m[0-9]{2})$'))
                       < to_char(clock_timestamp() + interval '2 months', 'YYYY"m"MM')
            ) late
            """,
            good: "monthly partitions are made two months ahead and more", bad: "hardly any partition ahead",
            mend: "SELECT sluice.ensure_month_partitions('…'); is the service that owns the table running?"),
        .faults(
            "snapshots",
            """
            SELECT string_agg(usename || ' for ' || date_trunc('second', clock_timestamp() - xact_start), ', ')
            FROM pg_stat_activity
            WHERE xact_start < clock_timestamp() - interval '5 minutes' AND backend_type = 'client backend'
            """,
            good: "no transaction is older than five minutes", bad: "old transactions keep dead rows alive",
            mend: "pg_terminate_backend; long reads belong on a standby", isDoubt: true),
        .faults(
            "catalogue",
            "SELECT CASE WHEN NOT EXISTS (SELECT FROM dispatch.api_category WHERE active) THEN 'no category' END",
            good: "there are categories to report under", bad: "nobody can report anything",
            mend: "sluicectl seed, or PUT /v1/categories/{code}"),
        .faults(
            "map",
            "SELECT CASE WHEN NOT EXISTS (SELECT FROM gis.api_place WHERE level = 'district') THEN 'no district' END",
            good: "there is a map", bad: "every place is outside the city",
            mend: "sluicectl import --kind district FILE (deploy/docs/first-day.md), or sluicectl seed"),
        .faults(
            "accounts",
            "SELECT CASE WHEN NOT EXISTS (SELECT FROM intake.api_account WHERE active AND 'admin' = ANY (roles)) THEN 'no admin' END",
            good: "somebody can administrate", bad: "nobody can administrate",
            mend: "sluicectl account create … --role admin --district city"),
        DatabaseLook(name: "clock", sql: "SELECT extract(epoch FROM clock_timestamp())") { row in
            ClockCheck.compare("database.clock", with: (row.first ?? nil).flatMap(Double.init), of: "the database's")
        },
    ]
}
