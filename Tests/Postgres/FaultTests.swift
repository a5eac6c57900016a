import Foundation
import Postgres
import PrivateProcesses
import Testing

/// What a server, a network or an operator can do to a client.
@Suite("Faults", .serialized, .timeLimit(.minutes(5)))
struct FaultTests {
    @Test func `A server killed in mid-flight loses nothing that was promised`() async throws {
        let server = try await TestServer()
        let database = try await server.database("CREATE TABLE a (n int PRIMARY KEY)")
        try await withClient(server.configuration(database: database)) { client in
            let promised = Numbers()
            try await client.query("INSERT INTO a VALUES (0)")
            let writers = Task {
                await withTaskGroup(of: Void.self) { group in
                    for writer in 0..<50 {
                        group.addTask {
                            for n in stride(from: writer + 1, to: 100_000, by: 50) {
                                do {
                                    try await client.query("INSERT INTO a VALUES (\(n))")
                                    promised.insert(n)
                                } catch let error as PostgresError {
                                    #expect([.connection, .unknownOutcome, .timeout].contains(error.kind))
                                    return
                                } catch {
                                    Issue.record("\(error)")
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

    @Test func `A stopped server fails every waiter within the deadline and is used again when it goes on`()
        async throws
    {
        let server = try await TestServer()
        let database = try await server.database("CREATE TABLE a (n int PRIMARY KEY)")
        var configuration = server.configuration(database: database)
        configuration.queryDeadline = .seconds(1)
        configuration.connectTimeout = .seconds(1)
        try await withClient(configuration, shared: 2, exclusive: 1) { client in
            try await client.query("INSERT INTO a VALUES (0)")
            let frozen = try await server.freeze()
            await withTaskGroup(of: Void.self) { group in
                for n in 1...200 {
                    group.addTask {
                        do {
                            try await client.query("INSERT INTO a VALUES (\(n))")
                            Issue.record("a stopped server cannot have answered")
                        } catch { #expect(error is PostgresError) }
                    }
                }
                group.addTask {
                    await #expect(throws: PostgresError.self) {
                        try await client.transaction { _ = try await $0.query("SELECT 1") }
                    }
                }
            }
            thaw(frozen)
            try await eventually { (try? await client.query("SELECT 1")) != nil }
        }
    }

    @Test func `A wrong password is told and not tried without pause`() async throws {
        let server = try await TestServer.shared()
        var configuration = server.configuration(database: "postgres")
        configuration.password = "wrong"
        configuration.queryDeadline = .seconds(2)
        try await withClient(configuration) { client in
            let error = try await failure { try await client.query("SELECT 1") }
            #expect(error.kind == .timeout)
            let reason = client.health.lastError
            #expect(reason?.message.contains("password authentication failed") == true)
            #expect(reason?.message.contains("wrong") == false)
            #expect(client.health.isReady == false)
        }
    }

    @Test func `A certificate for another name is refused`() async throws {
        let server = try await TestServer.shared()
        var configuration = server.configuration(database: "postgres")
        configuration.tls = .verifyFull(rootCertificateFile: server.rootCertificate)
        configuration.queryDeadline = .seconds(2)
        // The certificate names localhost; the host is an address.
        try await withClient(configuration, exclusive: 0) { client in
            _ = try await failure { try await client.query("SELECT 1") }
            #expect(client.health.lastError?.message.contains("does not match host name") == true)
        }
        configuration.host = "localhost"
        configuration.queryDeadline = .seconds(10)
        try await withClient(configuration, exclusive: 0) { client in
            let isEncrypted: SQL = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            let answer = try await client.query(isEncrypted)[0].decode(0, as: Bool.self)
            #expect(answer)
        }
    }

    @Test func `Ten thousand callers share four connections`() async throws {
        // The sanitizers make this many times slower.
        let change: (inout PostgresConfiguration) -> Void = { $0.queryDeadline = .seconds(60) }
        try await withDatabase("CREATE TABLE a (n int PRIMARY KEY)", shared: 4, exclusive: 0, change: change) {
            client in
            let answered = try await withThrowingTaskGroup(of: Int.self) { group in
                for n in 0..<10_000 {
                    group.addTask {
                        let rows = try await client.segment([
                            "INSERT INTO a VALUES (\(n)) RETURNING n", "SELECT \(n) + 0",
                        ])
                        return try rows[0][0].decode(0, as: Int.self) == n && rows[1][0].decode(0, as: Int.self) == n
                            ? 1 : 0
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(answered == 10_000)
            let stored = try await client.query("SELECT count(*)::int FROM a")[0].decode(0, as: Int.self)
            #expect(stored == 10_000)
        }
    }

    @Test func `A cancelled caller never disturbs the others`() async throws {
        try await withDatabase("CREATE TABLE a (n int)", shared: 2, exclusive: 2) { client in
            await withTaskGroup(of: Void.self) { group in
                for n in 0..<600 {
                    let task = Task {
                        switch n % 3 {
                        case 0: _ = try await client.segment(["INSERT INTO a VALUES (\(n))", "SELECT pg_sleep(0.002)"])
                        case 1:
                            try await client.transaction { transaction in
                                try await transaction.send(["INSERT INTO a VALUES (\(n))", "SELECT pg_sleep(0.002)"])
                                try await transaction.commit(["INSERT INTO a VALUES (\(n))"])
                            }
                        default:
                            let rows = (0..<1000).map { [$0] as [(any PostgresEncodable)?] }
                            try await client.copyIn(table: "a", columns: ["n"], rows: rows)
                        }
                    }
                    let isCancelled = n % 2 == 0
                    group.addTask {
                        if isCancelled {
                            try? await Task.sleep(for: .microseconds(n * 20 % 9000))
                            task.cancel()
                        }
                        do { _ = try await task.value } catch {
                            if !isCancelled { Issue.record("\(n % 3): \(error)") }
                        }
                    }
                }
            }
            try await eventually { client.health.isComplete }
            #expect(try await client.query("SELECT 1").count == 1)
            try await client.transaction { _ = try await $0.query("SELECT 1") }
        }
    }

    /// M10: dimitri/pgcopydb#880, psycopg/psycopg#685. Both ends would wait for each other.
    @Test func `A pipeline larger than every buffer does not stall (M10)`() async throws {
        try await withDatabase("CREATE TABLE a (n int, note text)", shared: 1, exclusive: 0) { client in
            let note = String(repeating: "x", count: 100_000)
            let inserts = (0..<2000).map { "INSERT INTO a VALUES (\($0), \(note)) RETURNING n, note" as SQL }
            let answers = try await client.segment(inserts)
            #expect(answers.count == 2000)
            #expect(try answers[1999][0].decode("n") == 1999)
        }
    }

    /// M10: psycopg/psycopg#722, npgsql/npgsql#3846.
    @Test func `A large answer before a large question does not stall (M10)`() async throws {
        try await withDatabase(shared: 1, exclusive: 0) { client in
            let large = String(repeating: "y", count: 50 << 20)
            let answers = try await client.segment([
                "SELECT repeat('x', 50 << 20)", "SELECT length(\(large)::text)", "SELECT 1",
            ])
            #expect(try answers[0][0].decode(0, as: String.self).utf8.count == 50 << 20)
            #expect(try answers[1][0].decode(0) == 50 << 20)
            // Its swollen buffers went with the connection.
            try await eventually { client.health.isComplete }
            #expect(try await client.query("SELECT 1").count == 1)
        }
    }

    /// M34: transact-rs/sqlx#4412, psycopg/psycopg#511, flynn/flynn#2235.
    @Test func `A change of a table's shape is survived by prepared statements (M34)`() async throws {
        try await withDatabase("CREATE TABLE a (n int, note text)", shared: 2, exclusive: 2) { client in
            let claim: SQL = "SELECT * FROM a"
            for change: SQL in ["ALTER TABLE a ADD COLUMN late int", "ALTER TABLE a ALTER COLUMN n TYPE int8"] {
                for _ in 0..<8 { try await client.query(claim) }
                for _ in 0..<4 { try await client.transaction { _ = try await $0.query(claim) } }
                try await client.query(change)
                for _ in 0..<8 { try await client.query(claim) }
                for _ in 0..<4 { try await client.transaction { _ = try await $0.query(claim) } }
            }
            // As after a failover: the statements are gone altogether.
            try await client.withExclusive { try await $0.script("DEALLOCATE ALL") }
            for _ in 0..<4 { try await client.transaction { _ = try await $0.query(claim) } }
        }
    }

    @Test func `A COPY or a script right after a plan went stale has its connection to itself`() async throws {
        try await withDatabase("CREATE TABLE a (n int)", shared: 1, exclusive: 2) { client in
            let rows: [[(any PostgresEncodable)?]] = [[1], [2]]
            let changes: [SQL] = ["ALTER TABLE a ALTER COLUMN n TYPE int8", "ALTER TABLE a ALTER COLUMN n TYPE int4"]
            for change in changes + changes + changes {
                for _ in 0..<3 { try await client.query("SELECT * FROM a") }
                try await client.query(change)
                // Finds out, and has every session drop its statements before its next work.
                try await client.query("SELECT * FROM a")
                #expect(try await client.copyIn(table: "a", columns: ["n"], rows: rows) == 2)
                try await client.withExclusive { try await $0.script("SELECT 1; SELECT 2") }
                // Somebody who leaves without a word: the place is free again.
                try await client.withExclusive { _ in }
                try await client.withExclusive { _ in }
            }
        }
    }

    @Test func `A host of the list that is gone without a word is passed over`() async throws {
        let server = try await TestServer.shared()
        // It takes connections and never says a word.
        let silent = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(silent) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(server.port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.2")
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(silent, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        try #require(isBound && listen(silent, 16) == 0)
        var configuration = server.configuration(database: try await server.database())
        configuration.host = "127.0.0.2,127.0.0.1"
        configuration.connectTimeout = .seconds(1)
        try await withClient(configuration, shared: 2, exclusive: 2) { client in
            let rows = try await client.query("SELECT 1")
            #expect(rows.count == 1)
            for await event in client.listen(["lane"]) where event == .listening { break }
        }
    }

    /// M11: gpustack/gpustack#6105, npgsql/efcore.pg#1306. The old primary lives on and answers every ping.
    @Test func `A server that takes no writes is left at once and found again (M11)`() async throws {
        let server = try await TestServer()
        let database = try await server.database("CREATE TABLE a (n int)")
        var configuration = server.configuration(database: database)
        configuration.queryDeadline = .seconds(2)
        try await withClient(configuration, shared: 2, exclusive: 1) { client in
            try await client.query("INSERT INTO a VALUES (1)")
            #expect(client.health.lastWrite != nil)
            try await server.psql("ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()")
            try await eventually { !client.health.isReady }
            let error = try await failure { try await client.query("INSERT INTO a VALUES (2)") }
            #expect(error.isTransient)
            try await server.psql(
                "SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only; "
                    + "SELECT pg_reload_conf()")
            try await eventually { (try? await client.query("INSERT INTO a VALUES (3)")) != nil }
            try await client.proveWritable()
        }
    }

    /// M11: gpustack/gpustack#6105.
    @Test func `A primary that comes back as a standby takes no writes, and does again once promoted (M11)`()
        async throws
    {
        // gpustack/gpustack#6105, npgsql/efcore.pg#1306.
        let server = try await TestServer()
        let database = try await server.database("CREATE TABLE a (n int)")
        var configuration = server.configuration(database: database)
        configuration.queryDeadline = .seconds(2)
        try await withClient(configuration, shared: 2, exclusive: 1) { client in
            try await client.query("INSERT INTO a VALUES (1)")
            try await server.killAll()
            try await server.startAsStandby()
            for _ in 0..<3 {
                let error = try await failure { try await client.query("INSERT INTO a VALUES (2)") }
                #expect(error.isTransient)
                #expect(!client.health.isReady, "it lives, but that is not enough")
            }
            try await server.psql("SELECT pg_promote()")
            try await eventually { (try? await client.query("INSERT INTO a VALUES (3)")) != nil }
            try await eventually { client.health.isReady }
            #expect(try await client.query("SELECT n FROM a ORDER BY n").column(Int.self) == [1, 3])
        }
    }

    /// M11: npgsql/efcore.pg#1306.
    @Test func `A read-only answer closes the connection (M11)`() async throws {
        try await withDatabase("CREATE TABLE a (n int)", shared: 0, exclusive: 1) { client in
            let first = try await client.query("SELECT pg_backend_pid()")[0].decode(0, as: Int.self)
            let error = try await failure {
                try await client.transaction(isolation: .repeatableReadOnly) {
                    try await $0.query("INSERT INTO a VALUES (1)")
                }
            }
            #expect(error.kind == .readOnly)
            #expect(try await client.query("SELECT pg_backend_pid()")[0].decode(0, as: Int.self) != first)
        }
    }

    /// M19: neo4j/neo4j-java-driver#593.
    @Test func `A commit whose answer is lost has an unknown outcome`() async throws {
        let server = try await TestServer()
        let database = try await server.database(
            """
            CREATE TABLE a (n int);
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION slow();
            """)
        try await withClient(server.configuration(database: database), shared: 1, exclusive: 1) { client in
            async let segment = failure { try await client.query("INSERT INTO a VALUES (1)") }
            async let transaction = failure {
                try await client.transaction { try await $0.commit(["INSERT INTO a VALUES (2)"]) }
            }
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            try await eventually { try await server.psql(waiting).contains("2") }
            try await server.killAll()
            #expect(try await segment.kind == .unknownOutcome)
            #expect(try await transaction.kind == .unknownOutcome)
        }
    }

    @Test func `A session ended before the commit has done nothing, and says so`() async throws {
        try await withDatabase("CREATE TABLE a (n int)", shared: 1, exclusive: 1) { client in
            async let segment = failure {
                try await client.segment(["INSERT INTO a VALUES (1)", "SELECT pg_sleep(3600)"])
            }
            let end: SQL = """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'PgSleep'
                """
            try await eventually {
                try await client.transaction { try await $0.query(end).count } == 1
            }
            let error = try await segment
            #expect(error.kind == .connection)
            #expect(error.sqlState == "57P01")
            #expect(error.isTransient)
            #expect(try await client.query("SELECT 1 FROM a").isEmpty)
        }
    }

    /// M06: MassTransit/MassTransit#5822, YakShaveFx/outboxkit#35.
    @Test func `A server that is not there is asked at a bounded rate (M06)`() async throws {
        var configuration = try await TestServer.shared().configuration(database: "postgres")
        configuration.port = 1
        configuration.queryDeadline = .seconds(2)
        try await withClient(configuration, shared: 4, exclusive: 4) { client in
            let errors = await withTaskGroup(of: PostgresError.Kind?.self) { group in
                for _ in 0..<500 {
                    group.addTask { try? await failure { try await client.query("SELECT 1") }.kind }
                }
                return await group.reduce(into: [PostgresError.Kind?]()) { $0.append($1) }
            }
            #expect(errors == Array(repeating: .timeout, count: 500))
        }
    }

    @Test func `A caller that waits for a connection in vain is told`() async throws {
        let change: (inout PostgresConfiguration) -> Void = { $0.queryDeadline = .seconds(1) }
        try await withDatabase(shared: 1, exclusive: 1, change: change) { client in
            try await client.withExclusive { _ in
                let error = try await failure { try await client.transaction { try await $0.query("SELECT 1") } }
                #expect(error.kind == .timeout)
            }
            let slow = try await failure { try await client.query("SELECT pg_sleep(3600)") }
            #expect(slow.kind == .timeout || slow.kind == .unknownOutcome)
        }
    }

    @Test func `The server's own time-out is told as such`() async throws {
        let change: (inout PostgresConfiguration) -> Void = { $0.options.statementTimeout = .milliseconds(50) }
        try await withDatabase(change: change) { client in
            let error = try await failure { try await client.segment(["SELECT pg_sleep(3600)", "SELECT 1"]) }
            #expect(error.kind == .timeout)
            #expect(error.sqlState == "57014")
            #expect(error.statementIndex == 0)
        }
    }
}
