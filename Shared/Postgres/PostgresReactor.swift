import CLibPQ
import Glibc

/// One thread that waits for sockets and runs the clients that live on it.
///
/// Everything that touches a libpq handle happens on this thread: it is the executor of the clients' actors, so the
/// compiler holds that rule. Several clients may share a reactor; work that must not wait for others' results gets
/// a reactor of its own. The thread lives until `shutdown()`.
public final class PostgresReactor: SerialExecutor, Sendable {
    private enum Work {
        case job(UnownedJob)
        case call(@Sendable () -> Void)
    }

    private struct Inbox {
        var work: [Work] = []
        /// The thread may be asleep and nobody has woken it yet.
        var needsSignal = false
        var isStopping = false
    }

    /// One who is told of sockets and time, on the reactor's thread.
    protocol Tenant: Actor {
        nonisolated func socketReady(_ session: UInt32, readable: Bool, writable: Bool)
        /// Returns when it wants to be called next.
        nonisolated func timePassed(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant
    }

    private struct Tenants {
        var next: UInt32 = 1
        var byNumber: [UInt32: any Tenant] = [:]
        var wakeUps: [UInt32: ContinuousClock.Instant] = [:]
    }

    public let name: String
    private let inbox = Locked(Inbox())
    private let tenants = Locked(Tenants())
    private let thread = Locked<pthread_t?>(nil)
    private let epoll: Int32
    private let bell: Int32

    /// - Parameter name: shown as the thread's name; at most 15 bytes of it.
    public init(name: String = "postgres") {
        self.name = name
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        // Both fail only if the process is out of descriptors or memory before it has begun.
        precondition(epoll >= 0 && bell >= 0, "the system has no descriptor left for an event loop")
        control(EPOLL_CTL_ADD, bell, events: EPOLLIN.rawValue, token: 0)
        // The thread keeps the reactor until `shutdown()`.
        let isStarted = DetachedThread.start { self.run() }
        precondition(isStarted, "the system has no thread left for an event loop")
    }

    deinit {
        close(epoll)
        close(bell)
    }

    /// Ends the thread once its present work is done. Clients on it must have been shut down.
    public func shutdown() {
        inbox.withLock { $0.isStopping = true }
        ring()
    }

    // MARK: Executor

    public func enqueue(_ job: consuming ExecutorJob) {
        add(.job(UnownedJob(job)))
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    public func isIsolatingCurrentContext() -> Bool? { isOnThread }

    public func checkIsolated() {
        precondition(isOnThread, "not on the reactor's thread")
    }

    var isOnThread: Bool {
        thread.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
    }

    /// Runs the closure on the thread, after what was given before.
    func execute(_ call: @escaping @Sendable () -> Void) {
        add(.call(call))
    }

    private func add(_ work: Work) {
        let mustRing = inbox.withLock { inbox in
            inbox.work.append(work)
            defer { inbox.needsSignal = false }
            return inbox.needsSignal
        }
        if mustRing { ring() }
    }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell, &one, MemoryLayout<UInt64>.size)
    }

    // MARK: Tenants and sockets

    func admit(_ tenant: any Tenant) -> UInt32 {
        tenants.withLock { tenants in
            let number = tenants.next
            tenants.next += 1
            tenants.byNumber[number] = tenant
            return number
        }
    }

    func dismiss(_ number: UInt32) {
        tenants.withLock { tenants in
            tenants.byNumber[number] = nil
            tenants.wakeUps[number] = nil
        }
    }

    /// Asks for `timePassed` no later than this.
    func wake(_ tenant: UInt32, at instant: ContinuousClock.Instant) {
        tenants.withLock { tenants in
            // One that has been dismissed meanwhile would stay due for ever.
            guard tenants.byNumber[tenant] != nil else { return }
            if let present = tenants.wakeUps[tenant], present <= instant { return }
            tenants.wakeUps[tenant] = instant
        }
    }

    /// Watches a socket; libpq may have put another socket under the same number since the last call.
    func watch(_ descriptor: Int32, tenant: UInt32, session: UInt32, readable: Bool, writable: Bool) {
        let events = (readable ? EPOLLIN.rawValue : 0) | (writable ? EPOLLOUT.rawValue : 0)
        let token = UInt64(tenant) << 32 | UInt64(session)
        if control(EPOLL_CTL_MOD, descriptor, events: events, token: token) != 0 {
            control(EPOLL_CTL_ADD, descriptor, events: events, token: token)
        }
    }

    func unwatch(_ descriptor: Int32) {
        control(EPOLL_CTL_DEL, descriptor, events: 0, token: 0)
    }

    @discardableResult
    private func control(_ operation: Int32, _ descriptor: Int32, events: UInt32, token: UInt64) -> Int32 {
        var event = epoll_event()
        event.events = events
        event.data.u64 = token
        return epoll_ctl(epoll, operation, descriptor, &event)
    }

    // MARK: The thread

    private func run() {
        thread.withLock { $0 = pthread_self() }
        pthread_setname_np(pthread_self(), String(name.utf8.prefix(15)) ?? "postgres")
        // A write to a closed TLS socket raises SIGPIPE in the writing thread; here it stays an error code.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        let capacity = 64
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        defer { events.deallocate() }
        var batch: [Work] = []
        while true {
            let isStopping = inbox.withLock { inbox in
                swap(&batch, &inbox.work)
                inbox.needsSignal = batch.isEmpty
                return inbox.isStopping && batch.isEmpty
            }
            if isStopping { return }
            for work in batch {
                switch work {
                case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
                case .call(let call): call()
                }
            }
            let timeout: Int32 = batch.isEmpty ? millisecondsToNextWakeUp() : 0
            // A storm leaves a large array behind; it is not kept for the quiet after it.
            if batch.capacity > 1024 { batch = [] } else { batch.removeAll(keepingCapacity: true) }
            let count = epoll_wait(epoll, events, Int32(capacity), timeout)
            inbox.withLock { $0.needsSignal = false }
            for index in 0..<max(0, Int(count)) { dispatch(events[index]) }
            tellTime()
        }
    }

    private func dispatch(_ event: epoll_event) {
        let token = event.data.u64
        guard token != 0 else {
            var count: UInt64 = 0
            _ = read(bell, &count, MemoryLayout<UInt64>.size)
            return
        }
        let tenant = tenants.withLock { $0.byNumber[UInt32(token >> 32)] }
        // A hang-up or an error is found by whoever reads or writes next.
        let broken = event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0
        tenant?.socketReady(
            UInt32(truncatingIfNeeded: token), readable: broken || event.events & EPOLLIN.rawValue != 0,
            writable: broken || event.events & EPOLLOUT.rawValue != 0)
    }

    private func tellTime() {
        let now = ContinuousClock.now
        let due = tenants.withLock { tenants in
            tenants.wakeUps.compactMap { number, instant in
                instant <= now ? tenants.byNumber[number].map { (number, $0) } : nil
            }
        }
        for (number, tenant) in due {
            tenants.withLock { $0.wakeUps[number] = nil }
            wake(number, at: tenant.timePassed(now))
        }
    }

    private func millisecondsToNextWakeUp() -> Int32 {
        guard let next = tenants.withLock({ $0.wakeUps.values.min() }) else { return -1 }
        let wait = next - ContinuousClock.now
        guard wait > .zero else { return 0 }
        return Int32(clamping: min(wait.milliseconds, 60_000))
    }
}
