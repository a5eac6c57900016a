import Foundation
import NIOConcurrencyHelpers
import PrivateProcesses

/// A private RabbitMQ of this test run: own folder, node, epmd and ports, on 127.0.0.1 only. Started by the first test
/// that asks for it.
///
/// A small shell script owns the processes and holds one end of a pipe: it stops them when this process ends, however it
/// ends.
final class BrokerFixture: Sendable {
    static let shared = BrokerFixture()

    static let user = "tester"
    static let password = "not-a-secret"

    let folder: String
    let port: Int
    let tlsPort: Int
    private let epmdPort: Int
    private let distributionPort: Int
    private let node: String
    private let running = NIOLockedValueBox<Guardian?>(nil)

    private init() {
        let number = Int(getpid()) % 1500
        folder = "/tmp/sluice-amqp-test-\(getpid())"
        // Four neighbours below Linux's ephemeral range, different for runs side by side.
        port = 21_000 + number * 4
        tlsPort = port + 1
        epmdPort = port + 2
        distributionPort = port + 3
        node = "sluice-test-\(getpid())@localhost"
    }

    /// Starts the broker if it doesn't run, and waits until it takes connections.
    func start() async throws {
        let isNew = try running.withLockedValue { running in
            guard running == nil else { return false }
            if !FileManager.default.fileExists(atPath: folder) { try prepare() }
            running = try launch()
            return true
        }
        guard isNew else { return }
        for _ in 0..<600 {
            if Self.accepts(port: port) && Self.accepts(port: tlsPort) { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        let log = (try? String(contentsOfFile: folder + "/out", encoding: .utf8)) ?? ""
        throw BrokerFailure(reason: "the broker did not start\n" + log.suffix(2000))
    }

    /// The Erlang process.
    var processID: pid_t {
        let text = (try? String(contentsOfFile: folder + "/pid", encoding: .utf8)) ?? ""
        return pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
    }

    /// Stops it as SIGSTOP does; nothing of it runs any more when this returns.
    func freeze() async throws { try await PrivateProcesses.freeze([processID]) }

    func thaw() { PrivateProcesses.thaw([processID]) }

    /// Kills the broker as a crash would, and waits for its end.
    func crash() async throws {
        let pid = processID
        guard pid > 1 else { return }
        kill(pid, SIGKILL)
        while kill(pid, 0) == 0 { try await Task.sleep(for: .milliseconds(20)) }
        stopGuardian()
    }

    /// Has the broker write down what it keeps of its queues' registration in memory. RabbitMQ 3.10 does so within seconds,
    /// not at once: killed before that, a new quorum queue comes back without a leader and answers nobody.
    func writeDown() async throws {
        try await control("eval", "mnesia:sync_log(), [dets:sync(Table) || Table <- dets:all()].")
    }

    /// Runs `rabbitmqctl` and returns what it printed.
    @discardableResult
    func control(_ arguments: String...) async throws -> String {
        try await Self.run(
            "/bin/sh", ["-c", script(command: "/usr/lib/rabbitmq/bin/rabbitmqctl \"$@\""), "ctl"] + arguments)
    }

    var certificateAuthority: String { folder + "/ca.pem" }
    var otherAuthority: String { folder + "/other-ca.pem" }

    // MARK: - Set-up

    private func prepare() throws {
        try FileManager.default.createDirectory(atPath: folder + "/home", withIntermediateDirectories: true)
        let openssl = """
            set -e
            cd \(folder)
            for name in ca other-ca; do
              openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                -subj /CN=$name -keyout $name.key -out $name.pem
            done
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=broker \
              -keyout server.key -out server.csr
            printf 'subjectAltName=DNS:broker.test' > san
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem
            """
        try Self.runNow("/bin/sh", ["-c", openssl])
        let settings = """
            listeners.tcp.1 = 127.0.0.1:\(port)
            listeners.ssl.1 = 127.0.0.1:\(tlsPort)
            ssl_options.cacertfile = \(folder)/ca.pem
            ssl_options.certfile = \(folder)/server.pem
            ssl_options.keyfile = \(folder)/server.key
            ssl_options.verify = verify_none
            default_user = \(Self.user)
            default_pass = \(Self.password)
            log.console = true
            log.file = false
            vm_memory_high_watermark.relative = 0.4
            disk_free_limit.absolute = 50MB
            """
        try settings.write(toFile: folder + "/rabbitmq.conf", atomically: true, encoding: .utf8)
        // A channel's overdue acknowledgement is looked for this often, in milliseconds.
        try "[{rabbit, [{channel_tick_interval, 2000}]}].\n"
            .write(toFile: folder + "/advanced.config", atomically: true, encoding: .utf8)
        try "[].\n".write(toFile: folder + "/plugins", atomically: true, encoding: .utf8)
        if getuid() == 0 { try Self.runNow("/bin/chown", ["-R", "rabbitmq", folder]) }
    }

    /// A command of the broker with all that keeps it apart from others.
    private func script(command: String) -> String {
        let environment = [
            "HOME": folder + "/home", "RABBITMQ_NODENAME": node, "RABBITMQ_MNESIA_BASE": folder + "/mnesia",
            "RABBITMQ_LOG_BASE": folder, "RABBITMQ_PID_FILE": folder + "/pid",
            "RABBITMQ_CONFIG_FILE": folder + "/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": folder + "/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": folder + "/plugins", "RABBITMQ_DIST_PORT": "\(distributionPort)",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none",
            "ERL_EPMD_PORT": "\(epmdPort)", "ERL_EPMD_ADDRESS": "127.0.0.1", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
        ]
        let user = getuid() == 0 ? "runuser -u rabbitmq -- " : ""
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)='\($0.value)'" }
        return "cd \(folder)\n\(user)env -i \(variables.joined(separator: " ")) \(command)"
    }

    private func launch() throws -> Guardian {
        try? FileManager.default.removeItem(atPath: folder + "/pid")
        let body = """
            epmd -port \(epmdPort) -address 127.0.0.1 &
            epmd=$!
            ( \(script(command: "/usr/lib/rabbitmq/bin/rabbitmq-server")) ) >\(folder)/out 2>&1 </dev/null &
            said=$(cat)
            [ -f \(folder)/pid ] && kill -KILL "$(cat \(folder)/pid)"
            kill $epmd
            wait
            [ "$said" = keep ] || rm -rf \(folder)
            """
        return try Guardian(script: body)
    }

    private func stopGuardian() {
        let guardian = running.withLockedValue { $0.take() }
        guardian?.finish(saying: "keep")
    }

    // MARK: - Processes

    private static func runNow(_ path: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw BrokerFailure(reason: "\(path) failed") }
    }

    private static func run(_ path: String, _ arguments: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        return try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { process in
                let data = (try? output.fileHandleForReading.readToEnd()) ?? Data()
                let text = String(decoding: data, as: UTF8.self)
                if process.terminationStatus == 0 {
                    continuation.resume(returning: text)
                } else {
                    continuation.resume(throwing: BrokerFailure(reason: text))
                }
            }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
    }

    private static func accepts(port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

struct BrokerFailure: Error, CustomStringConvertible {
    var reason: String
    var description: String { reason }
}
