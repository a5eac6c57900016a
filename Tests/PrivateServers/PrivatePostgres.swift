import Foundation
import Glibc
public import Postgres
import Schema
import Synchronization

/// A PostgreSQL of this test process alone, in a temporary folder on a free port. The shell around it waits for the end
/// of its standard input, so the server ends with the process, whatever ends that.
public final class PrivatePostgres: Sendable {
    public static let superuserPassword = "superuser-of-a-test"
    public static let passwords = Dictionary(uniqueKeysWithValues: Bootstrap.loginRoles.map { ($0, "of-\($0)") })

    private static let common = Mutex<PrivatePostgres?>(nil)
    private static let other = Mutex<PrivatePostgres?>(nil)

    public static func shared() throws -> PrivatePostgres { try started(common) }

    /// A second one, for what would disturb the tests on the first: a long transaction holds back the horizon of all
    /// databases of a server.
    static func apart() throws -> PrivatePostgres { try started(other) }

    private static func started(_ place: borrowing Mutex<PrivatePostgres?>) throws -> PrivatePostgres {
        try place.withLock { server in
            if let server { return server }
            let started = try PrivatePostgres()
            server = started
            return started
        }
    }

    public let port: Int
    private let folder: String
    private let standardInput = Pipe()
    let turnstile = Turnstile(places: 8)
    var logFile: URL { URL(fileURLWithPath: folder + "/log") }

    private init() throws {
        folder = "/tmp/sluice-test-" + UUID().uuidString.prefix(8)
        port = try Self.freePort()
        let binaries = "/usr/lib/postgresql/15/bin"
        let script = """
            set -e
            mkdir '\(folder)' && cd '\(folder)'
            printf %s '\(Self.superuserPassword)' >password
            \(binaries)/initdb -D data -A scram-sha-256 -U postgres --pwfile=password --encoding=UTF8 --locale=C.UTF-8 >/dev/null
            \(binaries)/postgres -D data -p \(port) -k '\(folder)' -c listen_addresses=127.0.0.1 -c max_connections=300 \
                -c max_locks_per_transaction=256 -c deadlock_timeout=50ms \
                -c log_line_prefix='\(PlanLog.prefix)' >log 2>&1 </dev/null &
            cat >/dev/null
            kill -INT $!; wait $!; cd /; rm -rf '\(folder)'
            """
        let process = Process()
        let isRoot = getuid() == 0
        process.executableURL = URL(fileURLWithPath: isRoot ? "/usr/sbin/runuser" : "/bin/sh")
        process.arguments = (isRoot ? ["-u", "postgres", "--", "/bin/sh"] : []) + ["-c", script]
        process.standardInput = standardInput
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        try process.run()
        for _ in 0..<1200 {
            if isListening() { return }
            usleep(50_000)
        }
        throw ServerDoesNotStart()
    }

    public struct ServerDoesNotStart: Error {}

    /// As the given role, which has the password of `passwords`.
    public func settings(_ role: String, database: String) -> ScriptConnection.Settings {
        ScriptConnection.Settings(
            host: "127.0.0.1", port: port, database: database, user: role,
            password: role == "postgres" ? Self.superuserPassword : Self.passwords[role])
    }

    public func open(_ role: String, database: String) async throws -> ScriptConnection {
        try await ScriptConnection.open(settings(role, database: database))
    }

    /// A database of the caller's own, with roles and extensions and nothing else.
    public func emptyDatabase() async throws -> String {
        let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "").prefix(12)
        try await Bootstrap(server: settings("postgres", database: name), passwords: Self.passwords).run()
        return name
    }

    /// A database with every migration that is shipped.
    public func migratedDatabase() async throws -> String {
        let name = try await emptyDatabase()
        try await Migrator(
            connection: open("sluice_migrate", database: name), files: MigrationFile.shipped()
        ).migrate()
        return name
    }

    private static let template = "migrated"
    private let isMigrated = Mutex<Task<Void, any Error>?>(nil)

    /// A copy of a migrated database: a copy takes a tenth of the time of the migrations.
    public func copiedDatabase() async throws -> String {
        let migration = isMigrated.withLock { task in
            if let task { return task }
            let started = Task {
                try await Bootstrap(
                    server: settings("postgres", database: Self.template), passwords: Self.passwords
                ).run()
                try await Migrator(
                    connection: open("sluice_migrate", database: Self.template), files: MigrationFile.shipped()
                ).migrate()
            }
            task = started
            return started
        }
        try await migration.value
        let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "").prefix(12)
        let connection = try await open("postgres", database: "postgres")
        // The migrator's connection may need a moment to go, and nobody may use a template that is being copied.
        var tries = 0
        while true {
            do {
                try await connection.run("CREATE DATABASE \(name) TEMPLATE \(Self.template)")
                break
            } catch {
                tries += 1
                guard tries < 200 else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        return name
    }

    /// Ready once it signs people in: the port alone opens earlier.
    private func isListening() -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/lib/postgresql/15/bin/pg_isready")
        process.arguments = ["-q", "-h", "127.0.0.1", "-p", String(port)]
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    public static func freePort() throws -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: 20_000...32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if bound == 0 { return port }
        }
        throw ServerDoesNotStart()
    }
}
