import CoreMetrics
import DequeModule
import Synchronization

/// Who gets which connection, and when time is up.
extension ClientCore {
    // MARK: Coming and going

    func start() {
        guard !isRunning, shutdownBy == nil else { return }
        isRunning = true
        tenant = reactor.admit(self)
        connectWhatIsDown(.now)
        reactor.wake(tenant, at: .now)
        settle()
    }

    /// Takes nothing new, finishes what is under way or waits, then closes; never longer than the query deadline.
    func shutDown(_ continuation: CheckedContinuation<Void, Never>) {
        shutdownWaiters.append(continuation)
        if shutdownBy == nil { shutdownBy = .now + configuration.queryDeadline }
        continueShutdown(.now)
    }

    private func continueShutdown(_ now: ContinuousClock.Instant) {
        guard let shutdownBy else { return }
        let isLate = now >= shutdownBy || !isRunning
        if isLate { failWaiters(.shutDown) { _ in true } }
        guard isLate || sharedQueue.isEmpty && exclusiveQueue.isEmpty else { return }
        for place in slots.indices {
            if isLate, slots[place].session != nil {
                lost(place, PostgresError(.closed, "the client is shut down"), fatal: nil)
            }
            apply(.shutDown, to: place)
        }
        guard slots.allSatisfy({ $0.session == nil }) else { return }
        // What a lost session had not begun went back into the line.
        failWaiters(.shutDown) { _ in true }
        isRunning = false
        reactor.dismiss(tenant)
        for waiter in shutdownWaiters { waiter.resume() }
        shutdownWaiters = []
    }

    // MARK: Requests

    func enqueue(_ trip: Trip) {
        guard !trip.ticket.isCancelled.load(ordering: .acquiring) else {
            return trip.complete(.failure(.cancelledByCaller))
        }
        guard shutdownBy == nil else { return trip.complete(.failure(.shutDown)) }
        trips[trip.ticket.id] = trip
        let hasShared = slots.count > exclusiveCount
        if hasShared, exclusiveCount == 0 || trip.byteCount <= Session.largeBytes {
            sharedQueue.append(trip)
        } else {
            // A large segment would hold up the callers behind it.
            exclusiveQueue.append(.segment(trip))
        }
        settle()
        wakeForDeadlines()
    }

    func enqueue(_ waiter: LeaseWaiter) {
        guard !waiter.ticket.isCancelled.load(ordering: .acquiring) else {
            return waiter.continuation.resume(throwing: PostgresError.cancelledByCaller)
        }
        guard shutdownBy == nil, exclusiveCount > 0 else {
            return waiter.continuation.resume(throwing: PostgresError.shutDown)
        }
        leaseWaiters[waiter.ticket.id] = waiter
        exclusiveQueue.append(.lease(waiter))
        settle()
        wakeForDeadlines()
    }

    /// Who comes again keeps the place of their first coming: neither behind who came later, nor before who came earlier.
    func lineUp(_ waiter: ExclusiveWaiter) {
        let index = exclusiveQueue.firstIndex { $0.waitsUntil > waiter.waitsUntil } ?? exclusiveQueue.endIndex
        exclusiveQueue.insert(waiter, at: index)
    }

    func cancel(_ ticket: Ticket) {
        if let waiter = leaseWaiters.removeValue(forKey: ticket.id) {
            waiter.continuation.resume(throwing: PostgresError.cancelledByCaller)
        } else if let trip = trips[ticket.id] {
            // Written or not, its answer has no reader any more; a trip that was not begun is left out later.
            answer(trip, .failure(.cancelledByCaller))
        }
    }

    // MARK: Serving

    func serveShared() {
        while let trip = sharedQueue.first {
            if trip.isAbandoned {
                sharedQueue.removeFirst()
                continue
            }
            guard let place = leastBusySharedPlace() else { return }
            sharedQueue.removeFirst()
            metrics.acquireShared.recordNanoseconds((ContinuousClock.now - trip.submitted).nanoseconds)
            give(trip, to: place)
        }
    }

    private func leastBusySharedPlace() -> Int? {
        var best: Int?
        for place in slots.indices where slots[place].role == .shared && slots[place].state.canTakeUser {
            let users = slots[place].state.users
            guard users < configuration.segmentsPerConnection, takesWrites(place) else { continue }
            if users < best.map({ slots[$0].state.users }) ?? Int.max { best = place }
        }
        return best
    }

    func serveExclusive() {
        while let waiter = exclusiveQueue.first {
            if isGone(waiter) {
                exclusiveQueue.removeFirst()
                continue
            }
            // Not while a trip of our own is under way: a script or a COPY wants the session at rest.
            let free = slots.indices.first { place in
                slots[place].role == .exclusive && slots[place].state == .up(users: 0) && takesWrites(place)
                    && slots[place].session?.isAtRest == true
            }
            guard let place = free else { return }
            if case .lease = waiter {
                refreshStatements(place)
                guard slots[place].session?.isAtRest == true else { continue }
            }
            exclusiveQueue.removeFirst()
            switch waiter {
            case .segment(let trip):
                metrics.acquireExclusive.recordNanoseconds((ContinuousClock.now - trip.submitted).nanoseconds)
                give(trip, to: place)
            case .lease(let waiter):
                metrics.acquireExclusive.recordNanoseconds((ContinuousClock.now - waiter.submitted).nanoseconds)
                leaseWaiters[waiter.ticket.id] = nil
                apply(.acquire, to: place)
                slots[place].lease = nextLease
                waiter.continuation.resume(returning: Lease(place: place, number: nextLease))
                nextLease += 1
            }
        }
    }

    private func isGone(_ waiter: ExclusiveWaiter) -> Bool {
        switch waiter {
        case .segment(let trip): trip.isAbandoned
        case .lease(let waiter): leaseWaiters[waiter.ticket.id] == nil
        }
    }

    private func give(_ trip: Trip, to place: Int) {
        apply(.acquire, to: place)
        refreshStatements(place)
        slots[place].session?.submit(trip)
        touch(place)
    }

    /// A session that was demoted or set read-only reports it by itself; it is replaced before anyone uses it.
    private func takesWrites(_ place: Int) -> Bool {
        guard let session = slots[place].session else { return false }
        guard configuration.requiresWritable, !session.handle.takesWrites else { return true }
        apply(.retire, to: place)
        return false
    }

    /// Drops prepared statements that went stale or were pushed out, ahead of the next trip.
    private func refreshStatements(_ place: Int) {
        guard let session = slots[place].session else { return }
        if session.dropStatements(before: generation) { touch(place) }
        // They go with all the others, and cannot be named a second time.
        guard session.generation == generation else { return }
        let leftovers = session.cache.takeLeftovers()
        if !leftovers.isEmpty {
            let statements = leftovers.map { SQL(unsafe: "DEALLOCATE \($0)") }
            session.submit(Trip(.deallocate, statements, commitIndex: .max))
            touch(place)
        }
    }

    // MARK: Leases

    /// The session of a lease that still holds.
    func session(of lease: Lease) -> Session? {
        guard slots.indices.contains(lease.place), slots[lease.place].lease == lease.number else { return nil }
        return slots[lease.place].session
    }

    func submit(_ trip: Trip, on lease: Lease) {
        guard !trip.ticket.isCancelled.load(ordering: .acquiring) else {
            return trip.complete(.failure(.cancelledByCaller))
        }
        guard let session = session(of: lease) else { return trip.complete(.failure(.leaseLost)) }
        // It would wait for the end of the exchange, and nobody has to bring that about.
        guard session.exchange.isNone else {
            return trip.complete(.failure(PostgresError(.closed, "a COPY or a script is under way")))
        }
        trips[trip.ticket.id] = trip
        session.submit(trip)
        touch(lease.place)
        settle()
        wakeForDeadlines()
    }

    /// Something that is not a trip: a script, a step of a COPY.
    func exchange(on lease: Lease, _ body: (Session) -> Void) -> Bool {
        guard let session = session(of: lease) else { return false }
        body(session)
        touch(lease.place)
        settle()
        wakeForDeadlines()
        return true
    }

    /// - Parameter waiter: resumed when the place has come to rest, ROLLBACK included.
    func release(_ lease: Lease, waiter: CheckedContinuation<Void, Never>?) {
        guard let session = session(of: lease) else {
            waiter?.resume()
            return
        }
        slots[lease.place].lease = nil
        slots[lease.place].restWaiter = waiter
        let isResting = session.isAtRest && session.handle.transactionStatus == .idle
        apply(isResting ? .release : .releaseDirty, to: lease.place)
        if slots[lease.place].session === session { retireIfDue(lease.place, session: session) }
        settle()
        if shutdownBy != nil { reactor.wake(tenant, at: .now) }
    }

    // MARK: Time

    func tick(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        guard isRunning else { return now + .seconds(60) }
        failWaiters(.waitedTooLong) { $0 <= now }
        for place in slots.indices { tick(place, now) }
        connectWhatIsDown(now)
        settle()
        continueShutdown(now)
        health.withLock { $0.waiting = sharedQueue.count + exclusiveQueue.count }
        metrics.waiting.record(sharedQueue.count + exclusiveQueue.count)
        return nextTick(now)
    }

    private func tick(_ place: Int, _ now: ContinuousClock.Instant) {
        if slots[place].state == .connecting, let deadline = slots[place].connectBy, now >= deadline {
            return connectFailed(place, PostgresError(.timeout, "the server did not answer in time"))
        }
        guard let session = slots[place].session, session.phase == .ready else { return }
        let isLate = session.headSince.map { now - $0 > configuration.queryDeadline } ?? false
        if isLate || session.exchange.isWaitedFor && now > session.exchangeBy {
            return lost(place, PostgresError(.timeout, "no answer before the deadline"), fatal: nil)
        }
        retireIfDue(place, session: session)
        if slots[place].state.canTakeUser { _ = takesWrites(place) }
        // An idle session that died without a word is found out before somebody needs it.
        if slots[place].session === session, slots[place].state == .up(users: 0), session.isAtRest,
            now - session.lastUsed > ClientCore.probeAfter
        {
            session.submit(Trip(.probe, ["SELECT pg_is_in_recovery()"], commitIndex: .max))
            touch(place)
        }
    }

    private static let probeAfter = Duration.seconds(5)

    /// Too old or too large sessions are replaced once nobody uses them.
    func retireIfDue(_ place: Int, session: Session) {
        guard case .up(users: 0) = slots[place].state else { return }
        let isOld = slots[place].replaceAt.map { ContinuousClock.now >= $0 } ?? false
        if isOld || session.isSwollen { apply(.retire, to: place) }
    }

    private func failWaiters(_ error: PostgresError, where isDue: (ContinuousClock.Instant) -> Bool) {
        // First come, first due: only the head needs a look. The other line also takes whom the shared one sends on.
        while let trip = sharedQueue.first, trip.isAbandoned || isDue(trip.waitsUntil) {
            sharedQueue.removeFirst()
            answer(trip, .failure(error))
        }
        let due = exclusiveQueue.filter { isGone($0) || isDue($0.waitsUntil) }
        guard !due.isEmpty else { return }
        exclusiveQueue.removeAll { isGone($0) || isDue($0.waitsUntil) }
        for waiter in due {
            switch waiter {
            case .segment(let trip): answer(trip, .failure(error))
            case .lease(let waiter):
                leaseWaiters.removeValue(forKey: waiter.ticket.id)?.continuation.resume(throwing: error)
            }
        }
    }

    func connectWhatIsDown(_ now: ContinuousClock.Instant) {
        guard isRunning, shutdownBy == nil else { return }
        for place in slots.indices where slots[place].state == .down && slots[place].notBefore <= now {
            // While the server cannot be reached one place asks for all.
            if backoff.failures > 0, slots.contains(where: { $0.state == .connecting }) { return }
            apply(.connect, to: place)
        }
    }

    private var isBusy: Bool {
        !sharedQueue.isEmpty || !exclusiveQueue.isEmpty || shutdownBy != nil
            || slots.contains { $0.state == .connecting || $0.session?.isAtRest == false }
    }

    /// Deadlines are looked at ten times a second while there are any, once a second otherwise.
    private func nextTick(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        var next = now + (isBusy ? .milliseconds(100) : .seconds(1))
        for slot in slots where slot.state == .down && slot.notBefore > now { next = min(next, slot.notBefore) }
        return next
    }

    private func wakeForDeadlines() {
        guard isRunning else { return }
        reactor.wake(tenant, at: .now + .milliseconds(100))
    }

    // MARK: Telling

    func publishHealth(error: PostgresError?, isSuccess: Bool) {
        var shared = 0
        var exclusive = 0
        for slot in slots {
            switch slot.state {
            case .up, .cleaning: if slot.role == .shared { shared += 1 } else { exclusive += 1 }
            case .down, .connecting, .retiring, .closed: break
            }
        }
        health.withLock { health in
            health.sharedConnected = shared
            health.exclusiveConnected = exclusive
            if isSuccess { health.lastError = nil } else if let error { health.lastError = error }
        }
        metrics.connected.record(shared + exclusive)
    }
}
