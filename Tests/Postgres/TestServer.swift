import Foundation
import Glibc
import Logging
import PrivateProcesses

@testable import Postgres

/// A private PostgreSQL in a temporary folder on a free port. It ends with the test process, whatever ends that:
/// the shell around the server waits for the end of its standard input.
final class TestServer: Sendable {
    static let password = "a 'secret' \\ one"
    private static let common = Task { try await TestServer() }

    /// One for all tests that do it no harm.
    static func shared() async throws -> TestServer { try await common.value }

    /// Setting servers up blocks for seconds; the cooperative pool has other tests to run meanwhile.
    private static func offPool<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
        }
    }

    let folder: String
    let port: Int
    var rootCertificate: String { folder + "/data/server.crt" }
    private let shell = Locked<ChildProcess?>(nil)

    init() async throws {
        let folder = NSTemporaryDirectory() + "sluice-postgres-" + UUID().uuidString.prefix(8)
        self.folder = folder
        port = try Self.freePort()
        try await Self.offPool { try Self.initialise(folder) }
        try await start()
    }

    private static func initialise(_ folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try password.write(toFile: folder + "/password", atomically: true, encoding: .utf8)
        if getuid() == 0, let user = getpwnam("postgres") {
            chown(folder, user.pointee.pw_uid, user.pointee.pw_gid)
            chown(folder + "/password", user.pointee.pw_uid, user.pointee.pw_gid)
        }
        try run(
            """
            set -e
            \(binaries)/initdb -D '\(folder)/data' -A scram-sha-256 -U admin --pwfile='\(folder)/password' \
                --encoding=UTF8 --locale=C >/dev/null
            cd '\(folder)/data'
            openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                -keyout server.key -out server.crt 2>/dev/null
            chmod 600 server.key
            """)
    }

    private static let binaries = "/usr/lib/postgresql/15/bin"

    func start() async throws { try await Self.offPool { try self.startNow() } }

    /// The same server, but as a standby that follows nobody, as a primary is after a failover.
    func startAsStandby() async throws {
        try "".write(toFile: folder + "/data/standby.signal", atomically: true, encoding: .utf8)
        try await start()
    }

    private func startNow() throws {
        let process = try ChildProcess(
            """
            trap '' HUP INT TERM
            \(Self.binaries)/postgres -D '\(folder)/data' -p \(port) -k '\(folder)' -c listen_addresses=127.0.0.1 \
                -c max_connections=100 -c ssl=on -c log_statement=none >>'\(folder)/log' 2>&1 </dev/null &
            server=$!
            cat >/dev/null
            kill -QUIT $server 2>/dev/null; wait $server; [ -e '\(folder)/keep' ] || rm -rf '\(folder)'
            """)
        shell.withLock { $0 = process }
        for _ in 0..<400 {
            if (try? Self.run("\(Self.binaries)/pg_isready -q -h 127.0.0.1 -p \(port)")) != nil { return }
            usleep(25_000)
        }
        throw TestFailure("the server does not start: see \(folder)/log")
    }

    var postmaster: pid_t {
        let text = (try? String(contentsOfFile: folder + "/data/postmaster.pid", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").first.flatMap { pid_t($0) } ?? 0
    }

    /// All processes of the server.
    private var processes: [pid_t] {
        let main = postmaster
        guard main > 0 else { return [] }
        let children = (try? Self.run("pgrep -P \(main) || true")) ?? ""
        return [main] + children.split(separator: "\n").compactMap { pid_t($0) }
    }

    /// Stops all of it as SIGSTOP does; answers with what `thaw` takes.
    func freeze() async throws -> [pid_t] {
        let processes = try await Self.offPool { self.processes }
        try await PrivateProcesses.freeze(processes)
        return processes
    }

    /// SIGKILL to all of it, and a wait until nothing of it is left.
    func killAll() async throws { try await Self.offPool { self.killNow() } }

    private func killNow() {
        let victims = processes
        try? "".write(toFile: folder + "/keep", atomically: true, encoding: .utf8)
        for process in victims { kill(process, SIGKILL) }
        for _ in 0..<400 where victims.contains(where: { kill($0, 0) == 0 }) { usleep(10_000) }
        // The old shell ends; the folder stays for the next start.
        shell.withLock { shell in
            shell?.finish()
            shell = nil
        }
        unlink(folder + "/keep")
        unlink(folder + "/data/postmaster.pid")
    }

    /// A database of the test's own.
    func database(_ setUp: String = "") async throws -> String {
        let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "").prefix(12)
        try await psql("CREATE DATABASE \(name)")
        if !setUp.isEmpty { try await psql(setUp, database: name) }
        return name
    }

    @discardableResult
    func psql(_ text: String, database: String = "postgres") async throws -> String {
        try await Self.offPool { try self.psqlNow(text, database: database) }
    }

    private func psqlNow(_ text: String, database: String) throws -> String {
        let file = folder + "/" + UUID().uuidString + ".sql"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        defer { unlink(file) }
        chmod(file, 0o644)
        return try Self.run(
            """
            PGPASSWORD="$(cat '\(folder)/password')" psql -X -q -A -t -v ON_ERROR_STOP=1 -h '\(folder)' -p \(port) \
                -U admin -d \(database) -f '\(file)'
            """)
    }

    func configuration(database: String) -> PostgresConfiguration {
        PostgresConfiguration(
            host: "127.0.0.1", port: port, database: database, user: "admin", password: Secret(Self.password),
            applicationName: database)
    }

    @discardableResult
    private static func run(_ script: String) throws -> String {
        let (output, isSuccess) = try ChildProcess(script).finish()
        guard isSuccess else { throw TestFailure("a set-up command failed: \(output)") }
        return output
    }

    private static func freePort() throws -> Int {
        for _ in 0..<200 {
            let port = Int.random(in: 20_000...31_999)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let status = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 { return port }
        }
        throw TestFailure("no free port")
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

let testReactor = PostgresReactor(name: "test")

/// A client that runs while the closure does.
func withClient<T: Sendable>(
    _ configuration: PostgresConfiguration, shared: Int = 2, exclusive: Int = 2,
    _ body: @Sendable (PostgresClient) async throws -> T
) async throws -> T {
    let client = PostgresClient(
        configuration: configuration, shared: shared, exclusive: exclusive, reactor: testReactor, name: "test",
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await client.run() }
        do {
            let value = try await body(client)
            group.cancelAll()
            return value
        } catch {
            group.cancelAll()
            throw error
        }
    }
}

/// A client on a database of its own on the shared server.
func withDatabase<T: Sendable>(
    _ setUp: String = "", shared: Int = 2, exclusive: Int = 2,
    change: (inout PostgresConfiguration) -> Void = { _ in }, _ body: @Sendable (PostgresClient) async throws -> T
) async throws -> T {
    let server = try await TestServer.shared()
    var configuration = server.configuration(database: try await server.database(setUp))
    change(&configuration)
    return try await withClient(configuration, shared: shared, exclusive: exclusive, body)
}

/// What the closure throws, as a `PostgresError`.
func failure<T>(_ body: () async throws -> T) async throws -> PostgresError {
    do {
        _ = try await body()
    } catch let error as PostgresError {
        return error
    }
    throw TestFailure("nothing was thrown")
}

/// Asks again until it is so; a test that waits for ever is ended by its time limit.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(20)) }
}
