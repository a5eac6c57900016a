import Foundation

/// A shell that runs a script with a pipe of ours as its input, so that it notices our end, however that comes.
///
/// Started with `posix_spawn` and an empty signal mask: a shell that inherits the blocked signals of a worker thread
/// never hears that its own children ended.
public struct Guardian: Sendable {
    private let processID: pid_t
    private let input: Int32

    public init(script: String) throws {
        var pipe: [Int32] = [0, 0]
        guard Foundation.pipe(&pipe) == 0 else { throw ProcessFailure("no pipe") }
        // A command that is run later must not keep the pipe open past this process.
        for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, pipe[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
            close(pipe[0])
        }
        var arguments = ["/bin/sh", "-c", script].map { (text: String) in strdup(text) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var processID: pid_t = 0
        guard posix_spawn(&processID, "/bin/sh", &actions, &attributes, &arguments, environ) == 0 else {
            close(pipe[1])
            throw ProcessFailure("no process")
        }
        self.processID = processID
        input = pipe[1]
    }

    /// Says a last word, ends the script's input and waits for its end.
    public func finish(saying word: String) {
        _ = word.withCString { write(input, $0, strlen($0)) }
        close(input)
        var status: Int32 = 0
        waitpid(processID, &status, 0)
    }
}

public struct ProcessFailure: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
