import Glibc

/// A semaphore, and threads that wait on it.
final class Bell: @unchecked Sendable {
    // Safe: a sem_t may be used from any thread; it is never moved (it lives on the heap until deinit), and the pointer to
    // it is constant.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func ring() { sem_post(semaphore) }

    /// Blocks the calling thread; for threads of `spawnThread` only.
    func wait() {
        while sem_wait(semaphore) != 0 && errno == EINTR {}
    }

    /// Starts a thread that nobody joins. `stackSize` in bytes.
    func spawnThread(stackSize: Int, _ body: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, stackSize)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let box = Unmanaged.passRetained(Body(run: body))
        var thread = pthread_t()
        pthread_create(
            &thread, &attributes,
            { argument in
                // The pointer is the box that was retained for exactly this thread.
                argument.map { Unmanaged<Body>.fromOpaque($0).takeRetainedValue() }?.run()
                return nil
            }, box.toOpaque())
        pthread_attr_destroy(&attributes)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
