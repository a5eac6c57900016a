import Glibc

@testable import Postgres

/// A shell command in a process of its own, as the user who may run a server (never root). Foundation's `Process` does
/// the same, but leaves memory behind that the address sanitizer reports.
struct ChildProcess: Sendable {
    let identifier: pid_t
    /// The end of its standard input that we hold; it sees the end of it when we close this or are gone.
    let input: Int32
    private let output: Int32

    /// Keeps a descriptor from slipping into another child between its making and its marking.
    /// Counts, because a value of no size lies where its neighbour lies, whose reads would look like a race with it.
    private static let spawned = Locked(0)

    init(_ script: String) throws {
        let isRoot = getuid() == 0
        let arguments =
            (isRoot ? ["/usr/sbin/runuser", "-u", "postgres", "--"] : []) + ["/bin/sh", "-c", "cd /\n" + script]
        let environment = ["PATH=/usr/bin:/bin:/usr/sbin", "LC_ALL=C"]
        (identifier, input, output) = try Self.spawned.withLock { count in
            count += 1
            let (childInput, input) = try Self.pipe()
            let (output, childOutput) = try Self.pipe()
            defer {
                close(childInput)
                close(childOutput)
            }
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            posix_spawn_file_actions_adddup2(&actions, childInput, 0)
            posix_spawn_file_actions_adddup2(&actions, childOutput, 1)
            defer { posix_spawn_file_actions_destroy(&actions) }
            var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
            var environ: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
            defer { for text in argv + environ { free(text) } }
            var child = pid_t()
            let status = posix_spawn(&child, arguments[0], &actions, nil, &argv, &environ)
            guard status == 0 else { throw TestFailure("a process cannot be started: error \(status)") }
            return (child, input, output)
        }
    }

    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw TestFailure("no pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Ends its input and waits for it; its output and whether it succeeded.
    @discardableResult
    func finish() -> (output: String, isSuccess: Bool) {
        close(input)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(output, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        close(output)
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        return (String(decoding: bytes, as: UTF8.self), status == 0)
    }
}
