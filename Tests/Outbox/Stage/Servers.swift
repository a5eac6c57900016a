import AMQP
import Foundation
import Postgres
import PrivateProcesses

/// A private PostgreSQL and a private RabbitMQ of this test run, on 127.0.0.1 only; they end with the test process.
/// Each test gets a database (with the schemas of three services) and a virtual host of its own.
final class Servers: Sendable {
    static let password = "not-a-secret"
    static let virtualHosts = 100
    private static let common = Task { try await Servers() }

    static func shared() async throws -> Servers { try await common.value }

    let folder: String
    let databasePort: Int
    let brokerPort: Int
    private let node: String
    private let epmdPort: Int
    private let distributionPort: Int
    private let databases = Counter()
    private let hosts = Counter()
    private let guardian: Guardian

    private init() async throws {
        folder = "/tmp/sluice-outbox-test-\(getpid())"
        let base = 20_000 + Int(getpid() % 2_000) * 5
        (databasePort, brokerPort, epmdPort, distributionPort) = (base, base + 1, base + 2, base + 3)
        node = "sluice-outbox-\(getpid())@localhost"
        let (folder, databasePort) = (folder, databasePort)
        try Self.writeSettings(folder: folder, brokerPort: brokerPort)
        guardian = try Guardian(
            script: Self.script(
                folder: folder, databasePort: databasePort, epmdPort: epmdPort, distributionPort: distributionPort,
                node: node))
        try await Self.wait(for: folder + "/ready", log: folder + "/log")
        try await prepareTemplate()
    }

    // MARK: - For tests

    /// A copy of the template database.
    func makeDatabase() async throws -> String {
        let name = "test_\(databases.next())"
        try await psql("CREATE DATABASE \(name) TEMPLATE city", in: "postgres")
        return name
    }

    /// Never one that another test has used: its queues would take what this one's topology returns.
    func makeVirtualHost() -> String {
        let number = hosts.next()
        precondition(number < Self.virtualHosts, "more tests than virtual hosts: raise their number")
        return "place\(number)"
    }

    func configuration(database: String, role: String, port: Int? = nil) -> PostgresConfiguration {
        PostgresConfiguration(
            port: port ?? databasePort, database: database, user: role, password: Secret(Self.password),
            applicationName: role, connectTimeout: .seconds(3), queryDeadline: .seconds(5))
    }

    func broker(_ virtualHost: String, port: Int? = nil) -> AMQPConfiguration {
        AMQPConfiguration(
            hosts: [.init("127.0.0.1", port: port ?? brokerPort)], virtualHost: virtualHost, user: "tester",
            password: .init(Self.password), heartbeat: .seconds(2), connectionName: "test",
            backoff: .milliseconds(20) ... .milliseconds(300))
    }

    /// Stops the broker as SIGSTOP does; nothing of it runs any more when this returns.
    func freezeBroker() async throws { try await freeze([brokerProcess]) }

    func thawBroker() throws { thaw([try brokerProcess]) }

    /// The Erlang process.
    private var brokerProcess: pid_t {
        get throws {
            let text = try String(contentsOfFile: folder + "/broker/pid", encoding: .utf8)
            guard let pid = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                throw ProcessFailure("the broker has no pid")
            }
            return pid
        }
    }

    /// Runs statements as superuser and answers what they print, unaligned and without headings.
    @discardableResult
    func psql(_ text: String, in database: String) async throws -> String {
        let file = folder + "/\(UUID().uuidString).sql"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        chmod(file, 0o644)
        defer { unlink(file) }
        return try await Self.run(
            "psql -X -q -A -t -v ON_ERROR_STOP=1 -h '\(folder)' -p \(databasePort) -U postgres -d \(database) -f '\(file)'",
            as: "postgres")
    }

    // MARK: - Set-up

    private func prepareTemplate() async throws {
        let migrations = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Shared/Schema/migrations")
        func file(_ name: String) throws -> String {
            try String(contentsOf: migrations.appending(path: name), encoding: .utf8)
        }
        try await psql("CREATE DATABASE city", in: "postgres")
        try await psql(try file("bootstrap.sql"), in: "city")
        var script = """
            SET ROLE sluice_owner;
            CREATE SCHEMA sluice;
            CREATE TABLE sluice.migration (name text PRIMARY KEY, sha256 bytea NOT NULL, applied_at timestamptz);

            """
        script += try file("0001_foundation.sql") + "\n" + file("0002_messaging.sql")
        for schema in ["intake", "dispatch", "notification"] {
            // What the tests' handlers write.
            script += """

                CREATE SCHEMA \(schema);
                SELECT sluice.create_messaging('\(schema)');
                CREATE TABLE \(schema).effect (
                    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, note text NOT NULL DEFAULT '');
                CREATE TABLE \(schema).numbered (n integer PRIMARY KEY, event_id uuid NOT NULL);
                SELECT sluice.grant_service('\(schema)');
                """
        }
        script += "\n" + (try file("0091_messaging_purges.sql"))
        script += """

            RESET ROLE;
            DO $$
            DECLARE role text;
            BEGIN
                FOR role IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'sluice\\_%' AND rolcanlogin LOOP
                    EXECUTE format('ALTER ROLE %I PASSWORD ''\(Self.password)''', role);
                END LOOP;
            END $$;
            """
        try await psql(script, in: "city")
    }

    private static func writeSettings(folder: String, brokerPort: Int) throws {
        let files = FileManager.default
        try files.createDirectory(atPath: folder + "/broker", withIntermediateDirectories: true)
        try """
        listeners.tcp.1 = 127.0.0.1:\(brokerPort)
        load_definitions = \(folder)/broker/definitions.json
        log.console = true
        log.file = false
        vm_memory_high_watermark.relative = 0.4
        disk_free_limit.absolute = 50MB
        """.write(toFile: folder + "/broker/rabbitmq.conf", atomically: true, encoding: .utf8)
        let hosts = (0..<virtualHosts).map { "place\($0)" }
        let definitions: [String: Any] = [
            "users": [["name": "tester", "password": password, "tags": ""]],
            "vhosts": hosts.map { ["name": $0] },
            "permissions": hosts.map {
                ["user": "tester", "vhost": $0, "configure": ".*", "write": ".*", "read": ".*"]
            },
            "policies": hosts.map { acting(in: $0) },
        ]
        try JSONSerialization.data(withJSONObject: definitions)
            .write(to: URL(filePath: folder + "/broker/definitions.json"))
        try "[].\n".write(toFile: folder + "/broker/plugins", atomically: true, encoding: .utf8)
        // A dead letter that could not be routed is tried again this often, in milliseconds (3 minutes by default).
        try "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 2000}]}].\n"
            .write(toFile: folder + "/broker/advanced.config", atomically: true, encoding: .utf8)
    }

    /// The policy of the same name in deploy/stack/definitions.
    private static func acting(in host: String) -> [String: Any] {
        [
            "vhost": host, "name": "acting", "apply-to": "queues", "priority": 10,
            "pattern": #"^(dispatch|notification)\.(emergency|routine)$"#,
            "definition": [
                "delivery-limit": 1000, "dead-letter-exchange": "city.dead",
                "dead-letter-strategy": "at-least-once", "overflow": "reject-publish", "max-length": 200_000,
            ] as [String: Any],
        ]
    }

    private static func script(
        folder: String, databasePort: Int, epmdPort: Int, distributionPort: Int, node: String
    ) -> String {
        let broker = [
            "HOME=\(folder)/broker", "RABBITMQ_NODENAME=\(node)", "RABBITMQ_MNESIA_BASE=\(folder)/broker/mnesia",
            "RABBITMQ_LOG_BASE=\(folder)/broker", "RABBITMQ_PID_FILE=\(folder)/broker/pid",
            "RABBITMQ_CONFIG_FILE=\(folder)/broker/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE=\(folder)/broker/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE=\(folder)/broker/plugins", "RABBITMQ_DIST_PORT=\(distributionPort)",
            "ERL_EPMD_PORT=\(epmdPort)", "ERL_EPMD_ADDRESS=127.0.0.1", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
        ].map { "'\($0)'" }.joined(separator: " ")
        let asBroker = getuid() == 0 ? "runuser -u rabbitmq -- " : ""
        let asDatabase = getuid() == 0 ? "runuser -u postgres -- " : ""
        return """
            exec 3<&0 >'\(folder)/log' 2>&1 </dev/null
            cd '\(folder)'
            PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin
            if [ "$(id -u)" = 0 ]; then
                chown postgres: '\(folder)'; chown -R rabbitmq: '\(folder)/broker'
            fi
            chmod 755 '\(folder)'
            epmd -port \(epmdPort) -address 127.0.0.1 3<&- &
            epmd=$!
            # The broker sets files aside for each queue; when all are, it takes no more connections.
            \(asBroker)env -i \(broker) \
                'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +sbwt none' \
                sh -c 'ulimit -n "$(ulimit -H -n)" && exec /usr/lib/rabbitmq/bin/rabbitmq-server' 3<&- &
            \(asDatabase)initdb -D '\(folder)/data' -U postgres -A trust --encoding=UTF8 --locale=C.UTF-8
            \(asDatabase)postgres -D '\(folder)/data' -p \(databasePort) -k '\(folder)' -c listen_addresses=127.0.0.1 \
                -c max_connections=200 -c deadlock_timeout=50ms -c jit=off -c max_wal_size=4GB 3<&- &
            until pg_isready -q -h 127.0.0.1 -p \(databasePort); do sleep 0.1; done
            # What the broker prints, not what it logs: a burst of log lines is cut short by its own overload protection.
            until grep -q 'completed with [0-9]* plugins' log; do sleep 0.1; done
            touch ready
            cat <&3 >/dev/null
            [ -s broker/pid ] && { kill -CONT "$(cat broker/pid)"; kill -KILL "$(cat broker/pid)"; }
            kill -QUIT "$(head -n1 data/postmaster.pid)"
            kill $epmd
            wait
            cd / && rm -rf '\(folder)'
            """
    }

    private static func wait(for file: String, log: String) async throws {
        for _ in 0..<1_200 {
            if FileManager.default.fileExists(atPath: file) { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        throw StageFailure("the servers did not start:\n\(text.suffix(2_000))")
    }

    private static func run(_ command: String, as user: String) async throws -> String {
        let process = Process()
        let isRoot = getuid() == 0
        process.executableURL = URL(filePath: isRoot ? "/usr/sbin/runuser" : "/bin/sh")
        process.arguments = (isRoot ? ["-u", user, "--", "/bin/sh"] : []) + ["-c", command]
        process.currentDirectoryURL = URL(filePath: "/")
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                do {
                    try process.run()
                    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                    process.waitUntilExit()
                    guard process.terminationStatus == 0 else { throw StageFailure("a command failed: \(text)") }
                    continuation.resume(returning: text.trimmingCharacters(in: .whitespacesAndNewlines))
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}

struct StageFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
