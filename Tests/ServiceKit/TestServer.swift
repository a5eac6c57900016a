import Foundation
import Glibc
import Logging
import Postgres
import Synchronization

/// A private PostgreSQL in a temporary folder on a free port. It ends with the test process, whatever ends that: the
/// shell around the server waits for the end of its standard input.
final class TestServer: Sendable {
    private static let common = Mutex<TestServer?>(nil)
    private static let binaries = "/usr/lib/postgresql/15/bin"
    private static let password = "only-for-this-test"

    static func shared() throws -> TestServer {
        try common.withLock { server in
            if let server { return server }
            let started = try TestServer()
            server = started
            return started
        }
    }

    private let folder: String
    private let port: Int
    private let pipe = Mutex<Pipe?>(nil)

    private init() throws {
        folder = NSTemporaryDirectory() + "sluice-servicekit-" + UUID().uuidString.prefix(8)
        port = try Self.freePort()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Self.password.write(toFile: folder + "/password", atomically: true, encoding: .utf8)
        if getuid() == 0, let user = getpwnam("postgres") {
            chown(folder, user.pointee.pw_uid, user.pointee.pw_gid)
            chown(folder + "/password", user.pointee.pw_uid, user.pointee.pw_gid)
        }
        try Self.run(
            "\(Self.binaries)/initdb -D '\(folder)/data' -A scram-sha-256 -U admin --pwfile='\(folder)/password' "
                + "--encoding=UTF8 --locale=C >/dev/null")
        let process = Process()
        let pipe = Pipe()
        Self.prepare(
            process,
            """
            \(Self.binaries)/postgres -D '\(folder)/data' -p \(port) -k '\(folder)' -c listen_addresses=127.0.0.1 \
                -c max_connections=250 >>'\(folder)/log' 2>&1 </dev/null &
            server=$!
            cat >/dev/null
            kill -QUIT $server; wait $server; rm -rf '\(folder)'
            """)
        process.standardInput = pipe
        try process.run()
        self.pipe.withLock { $0 = pipe }
        for _ in 0..<400 {
            if (try? Self.run("\(Self.binaries)/pg_isready -q -h 127.0.0.1 -p \(port)")) != nil { return }
            usleep(25_000)
        }
        throw TestFailure("the server does not start: see \(folder)/log")
    }

    /// A database of the test's own, prepared by SQL.
    func database(_ setUp: String) throws -> PostgresConfiguration {
        let name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "").prefix(12)
        try psql("CREATE DATABASE \(name)", database: "postgres")
        try psql(setUp, database: String(name))
        return PostgresConfiguration(
            host: "127.0.0.1", port: port, database: String(name), user: "admin", password: Secret(Self.password))
    }

    @discardableResult
    func psql(_ text: String, database: String) throws -> String {
        let file = folder + "/" + UUID().uuidString + ".sql"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        defer { unlink(file) }
        chmod(file, 0o644)
        return try Self.run(
            """
            PGPASSWORD='\(Self.password)' psql -X -q -A -t -v ON_ERROR_STOP=1 -h '\(folder)' -p \(port) -U admin \
                -d \(database) -f '\(file)'
            """)
    }

    @discardableResult
    private static func run(_ script: String) throws -> String {
        let process = Process()
        let output = Pipe()
        prepare(process, script)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw TestFailure("a set-up command failed: \(text)") }
        return text
    }

    /// The server refuses to run as root.
    private static func prepare(_ process: Process, _ script: String) {
        let isRoot = getuid() == 0
        process.executableURL = URL(fileURLWithPath: isRoot ? "/usr/sbin/runuser" : "/bin/sh")
        process.arguments = (isRoot ? ["-u", "postgres", "--", "/bin/sh"] : []) + ["-c", script]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.environment = ["PATH": "/usr/bin:/bin:/usr/sbin", "LC_ALL": "C"]
    }

    static func freePort() throws -> Int {
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

/// A client on a database of its own, which runs while the closure does.
func withDatabase<T: Sendable>(
    _ setUp: String, _ body: @Sendable (PostgresClient) async throws -> T
) async throws -> T {
    let client = PostgresClient(
        configuration: try TestServer.shared().database(setUp), shared: 2, exclusive: 4, reactor: testReactor,
        name: "test", logger: silentLogger)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await client.run() }
        defer { group.cancelAll() }
        return try await body(client)
    }
}

let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
