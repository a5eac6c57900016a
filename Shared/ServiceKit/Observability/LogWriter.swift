import Glibc
import Synchronization

/// Takes finished lines to standard error on a thread of its own: a reader of the log that has stopped (a full pipe, a
/// paused terminal) must not stop the threads that serve. Bounded; what does not fit is dropped and the loss is said in
/// the log when it flows again.
final class LogWriter: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var dropped = 0
        var isWriting = false
    }

    static let limit = 1 << 20

    private let descriptor: Int32
    private let state = Mutex(State())
    private let signal = Bell()

    init(descriptor: Int32 = STDERR_FILENO) {
        self.descriptor = descriptor
    }

    func start() {
        signal.spawnThread(stackSize: 128 << 10) { [self] in
            while true {
                signal.wait()
                drain()
            }
        }
    }

    func write(_ line: [UInt8]) {
        let isFirst = state.withLock { state in
            guard state.buffer.count + line.count <= Self.limit else {
                state.dropped += 1
                return false
            }
            state.buffer.append(contentsOf: line)
            return state.buffer.count == line.count
        }
        if isFirst { signal.ring() }
    }

    /// Writes what is waiting, on the calling thread. The last act of a process, at most so many milliseconds.
    func flush(milliseconds: Int = 500) {
        for _ in 0..<milliseconds {
            let isDone = state.withLock { $0.buffer.isEmpty && !$0.isWriting }
            if isDone { return }
            usleep(1_000)
        }
    }

    private func drain() {
        while true {
            let (bytes, dropped) = state.withLock { state in
                let taken = (state.buffer, state.dropped)
                state.buffer = []
                state.dropped = 0
                state.isWriting = !taken.0.isEmpty
                return taken
            }
            guard !bytes.isEmpty else { return }
            var rest = bytes[...]
            while !rest.isEmpty {
                let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if written > 0 {
                    rest = rest.dropFirst(written)
                } else if errno != EINTR && errno != EAGAIN {
                    break
                }
            }
            state.withLock { $0.isWriting = false }
            if dropped > 0 {
                write(Array("{\"level\":\"warning\",\"message\":\"\(dropped) log lines were dropped\"}\n".utf8))
            }
        }
    }
}
