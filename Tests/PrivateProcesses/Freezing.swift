public import Foundation

/// Stops processes with SIGSTOP and returns when none of their threads runs any more: on a busy machine that takes a
/// while, and what they do meanwhile is not what a stopped server does. One that has ended runs no more either.
public func freeze(_ processes: [pid_t]) async throws {
    for process in processes {
        guard process > 1 else { throw ProcessFailure("no process to stop") }
        kill(process, SIGSTOP)
    }
    for process in processes {
        while !isFrozen(process) { try await Task.sleep(for: .milliseconds(2)) }
    }
}

public func thaw(_ processes: [pid_t]) {
    for process in processes where process > 1 { kill(process, SIGCONT) }
}

private func isFrozen(_ process: pid_t) -> Bool {
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task")) ?? []
    return threads.allSatisfy { thread in
        guard let text = try? String(contentsOfFile: "/proc/\(process)/task/\(thread)/stat", encoding: .utf8) else {
            return true
        }
        // The state follows the name, which may hold anything.
        let state = text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).first ?? "X"
        return "TZX".contains(state)
    }
}
