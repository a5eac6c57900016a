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
    private let signal: Wakeup

    init(descriptor: Int32 = STDERR_FILENO) {
        self.descriptor = descriptor
        self.signal = Wakeup()
    }

    func start() {
        signal.spawnThread { [self] in
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
        if isFirst { signal.wake() }
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

/// A semaphore and the thread that waits on it.
private final class Wakeup: @unchecked Sendable {
    // Safe: sem_t may be used from any thread, is never moved (it lives on the heap until deinit), and the pointer itself
    // is constant.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func wake() { sem_post(semaphore) }

    func wait() {
        while sem_wait(semaphore) != 0 && errno == EINTR {}
    }

    func spawnThread(_ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 128 << 10)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let box = Unmanaged.passRetained(Body(run: body))
        var thread = pthread_t()
        pthread_create(
            &thread, &attributes,
            { argument in
                // The pointer is the box that was retained for exactly this thread.
                let body = argument.map { Unmanaged<Body>.fromOpaque($0).takeRetainedValue() }

                body?.run()
                return nil
            }, box.toOpaque())
        pthread_attr_destroy(&attributes)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
