import CoreMetrics
import DequeModule
import Logging

/// Everything of a client that changes: its places, its queues, its sessions. Runs on the reactor's thread only.
actor ClientCore: PostgresReactor.Tenant {
    /// A place for one connection.
    struct Slot {
        let role: SessionRole
        var state = SlotState.down
        var session: Session?
        /// Who holds an exclusive place.
        var lease: UInt64?
        /// Told when the place has come to rest after that lease.
        var restWaiter: CheckedContinuation<Void, Never>?
        /// Not to be connected before.
        var notBefore: ContinuousClock.Instant
        /// Until when a session must be ready.
        var connectBy: ContinuousClock.Instant?
        var readySince: ContinuousClock.Instant?
        /// Which of the host's addresses the attempt began with.
        var firstAddress = 0
        /// When the session is to be replaced; not the same moment for all, or they would all go at once.
        var replaceAt: ContinuousClock.Instant?
    }

    struct LeaseWaiter {
        let ticket: Ticket
        let waitsUntil: ContinuousClock.Instant
        let submitted: ContinuousClock.Instant
        let continuation: CheckedContinuation<Lease, any Error>
    }

    /// The right to use one exclusive place. `place` is a number of ours, not a pointer.
    struct Lease: Sendable, Hashable {
        let place: Int
        let number: UInt64
    }

    enum ExclusiveWaiter {
        case lease(LeaseWaiter)
        case segment(Trip)

        var waitsUntil: ContinuousClock.Instant {
            switch self {
            case .lease(let waiter): waiter.waitsUntil
            case .segment(let trip): trip.waitsUntil
            }
        }
    }

    nonisolated let reactor: PostgresReactor
    nonisolated let name: String
    nonisolated let configuration: PostgresConfiguration
    nonisolated let logger: Logger
    nonisolated let metrics: PostgresMetrics
    nonisolated let health: Locked<PostgresHealth>
    nonisolated let exclusiveCount: Int

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    var slots: [Slot]
    var placeOfSession: [UInt32: Int] = [:]
    var nextSession: UInt32 = 1
    var nextLease: UInt64 = 1
    var tenant: UInt32 = 0

    var sharedQueue: Deque<Trip> = []
    var exclusiveQueue: Deque<ExclusiveWaiter> = []
    /// By ticket, so that a cancelled caller finds its work.
    var trips: [ObjectIdentifier: Trip] = [:]
    /// Leases waited for, by ticket.
    var leaseWaiters: [ObjectIdentifier: LeaseWaiter] = [:]

    var backoff = Backoff()
    /// Which of the host's addresses an attempt begins with. One whose machine is gone without a word takes up all of an
    /// attempt's time, so the next one begins behind it.
    private var firstAddress = 0
    /// Raised whenever prepared statements turned out stale: every session then drops its own before its next trip.
    var generation = 0
    var isRunning = false
    var shutdownBy: ContinuousClock.Instant?
    var shutdownWaiters: [CheckedContinuation<Void, Never>] = []
    /// Places whose sessions have something to do.
    private var dirty: Deque<Int> = []
    private var isSettling = false

    init(
        configuration: PostgresConfiguration, shared: Int, exclusive: Int, reactor: PostgresReactor, name: String,
        logger: Logger
    ) {
        self.configuration = configuration
        self.reactor = reactor
        self.name = name
        self.logger = logger
        metrics = PostgresMetrics(client: name)
        exclusiveCount = exclusive
        var health = PostgresHealth()
        health.sharedWanted = shared
        health.exclusiveWanted = exclusive
        self.health = Locked(health)
        let now = ContinuousClock.now
        slots =
            (0..<shared).map { _ in Slot(role: .shared, notBefore: now) }
            + (0..<exclusive).map { _ in Slot(role: .exclusive, notBefore: now) }
    }

    // MARK: What the reactor tells

    nonisolated func socketReady(_ session: UInt32, readable: Bool, writable: Bool) {
        assumeIsolated { core in
            // A session that was closed a moment ago may still have news in the same batch.
            guard let place = core.placeOfSession[session] else { return }
            core.advance(place, readable: readable)
            core.settle()
        }
    }

    nonisolated func timePassed(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        assumeIsolated { $0.tick(now) }
    }

    // MARK: Work through sessions

    /// Remembers that a session may have something to write.
    func touch(_ place: Int) { dirty.append(place) }

    /// Lets every touched session do what it can; what that sets free may touch others.
    func settle() {
        guard !isSettling else { return }
        isSettling = true
        defer { isSettling = false }
        serveShared()
        serveExclusive()
        while let place = dirty.popFirst() {
            advance(place, readable: false)
            serveShared()
            serveExclusive()
        }
    }

    private func advance(_ place: Int, readable: Bool) {
        guard let session = slots[place].session else { return }
        for event in session.advance(readable: readable, now: .now) {
            // An earlier event of the same batch may have ended the session.
            guard slots[place].session === session else {
                if case .finished(let trip) = event { settle(trip, at: nil) }
                continue
            }
            handle(event, place: place, session: session)
        }
    }

    private func handle(_ event: Session.Event, place: Int, session: Session) {
        switch event {
        case .connected: connected(place)
        case .finished(let trip): finished(trip, at: place, session: session)
        case .exchangeEnded:
            if isBeingCleaned(place) { clean(place) }
        case .notified: break
        case .lost(let error, let fatal): lost(place, error, fatal: fatal)
        }
    }

    private func finished(_ trip: Trip, at place: Int, session: Session) {
        settle(trip, at: place)
        guard slots[place].session === session else { return }
        switch trip.purpose {
        case .segment:
            // With others behind it libpq cannot tell; the last one tells for all.
            let status = session.handle.transactionStatus
            if slots[place].role == .shared, session.isAtRest, status != .idle {
                return lost(place, PostgresError(.connection, "a segment left a transaction open"), fatal: nil)
            }
            let isResting = status == .idle || status == .active && !session.isAtRest
            apply(isResting ? .release : .releaseDirty, to: place)
        case .rollback, .lease, .probe, .deallocate, .deallocateAll:
            // Of our own trips too: the place's user may have gone while one was under way.
            if isBeingCleaned(place) { clean(place) }
        }
        if slots[place].session === session { retireIfDue(place, session: session) }
    }

    /// Gives a trip's caller its answer, or lets it run again where that is right.
    private func settle(_ trip: Trip, at place: Int?) {
        metrics.trips.increment()
        switch trip.state.outcome {
        case .success(let rows):
            if rows.contains(where: { $0.affected > 0 && !$0.commandTag.hasPrefix("SELECT") }) { noteWrite() }
            answer(trip, .success(rows))
        case .failure(let error):
            metrics.errors.increment()
            if error.isStalePlan {
                if trip.generation == generation { generation += 1 }
                if trip.purpose == .segment, !trip.hasRunAgain, !trip.isAbandoned {
                    return runAgain(trip, onExclusive: place.map { slots[$0].role == .exclusive } ?? false)
                }
            }
            if error.isLockTimeout, trip.purpose == .segment, trip.waitsForLocks, exclusiveCount > 0,
                !trip.isAbandoned, let place, slots[place].role == .shared
            {
                return runAgain(trip, onExclusive: true)
            }
            if error.kind == .readOnly, let place { apply(.retire, to: place) }
            answer(trip, .failure(error))
        }
    }

    private func runAgain(_ trip: Trip, onExclusive: Bool) {
        metrics.reruns.increment()
        trip.hasRunAgain = trip.hasRunAgain || !onExclusive || trip.state.failure?.isStalePlan == true
        trip.reset()
        if onExclusive { lineUp(.segment(trip)) } else { sharedQueue.prepend(trip) }
    }

    func answer(_ trip: Trip, _ result: Result<[Rows], PostgresError>) {
        trips[trip.ticket.id] = nil
        trip.complete(result)
    }

    private func noteWrite() {
        let now = ContinuousClock.now
        health.withLock { $0.lastWrite = now }
    }

    // MARK: The life of a place

    func apply(_ event: SlotState.Event, to place: Int) {
        let action = slots[place].state.apply(event)
        switch action {
        case .none, .serve: break
        case .open: open(place)
        case .clean: clean(place)
        case .close: drop(place, PostgresError(.connection, "the connection was closed"), fatal: nil)
        case .discard: drop(place, PostgresError(.connection, "the connection was given up"), fatal: nil)
        }
        if let waiter = slots[place].restWaiter, slots[place].state != .cleaning {
            slots[place].restWaiter = nil
            waiter.resume()
        }
    }

    private func open(_ place: Int) {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        slots[place].connectBy = deadline
        Resolver.resolve(configuration.host, on: reactor) { addresses in
            self.assumeIsolated { $0.open(place, addresses: addresses, deadline: deadline) }
        }
    }

    private func open(_ place: Int, addresses: [Resolver.Address], deadline: ContinuousClock.Instant) {
        // The look-up may have outlived the attempt that asked for it.
        guard slots[place].state == .connecting, slots[place].connectBy == deadline, slots[place].session == nil else {
            return
        }
        let number = nextSession
        nextSession &+= 1
        guard !addresses.isEmpty else {
            return connectFailed(place, PostgresError(.connection, "the host's name cannot be resolved"))
        }
        slots[place].firstAddress = firstAddress
        guard
            let session = Session(
                number: number, role: slots[place].role, configuration: configuration,
                addresses: Resolver.rotated(addresses, by: firstAddress),
                tenant: tenant, reactor: reactor, generation: generation, now: .now)
        else { return connectFailed(place, PostgresError(.connection, "no connection could be begun")) }
        placeOfSession[number] = place
        slots[place].session = session
    }

    private func connected(_ place: Int) {
        backoff.succeeded()
        slots[place].connectBy = nil
        let now = ContinuousClock.now
        slots[place].readySince = now
        slots[place].replaceAt = now + configuration.maxConnectionAge * Double.random(in: 0.85...1)
        apply(.connected, to: place)
        // The others waited for this one to find out.
        for other in slots.indices where slots[other].state == .down { slots[other].notBefore = now }
        publishHealth(error: nil, isSuccess: true)
        connectWhatIsDown(.now)
    }

    func connectFailed(_ place: Int, _ error: PostgresError) {
        let isOurFault = error.sqlState?.hasPrefix("28") == true || error.message.contains("authentication failed")
        let wait = backoff.failed(isOurFault: isOurFault, jitter: Double.random(in: 0...1))
        // The first failure and then every doubling is worth a line; the rest is in the metrics.
        if backoff.failures.nonzeroBitCount == 1 {
            logger.warning(
                "no connection to PostgreSQL",
                metadata: ["client": "\(name)", "error": "\(error)", "retry_in": "\(wait)"]
            )
        }
        discardSession(place, error, fatal: nil)
        // Not by each of the places that have failed together.
        if slots[place].firstAddress == firstAddress { firstAddress &+= 1 }
        _ = slots[place].state.apply(.connectFailed)
        let now = ContinuousClock.now
        slots[place].notBefore = now + wait
        // While the server cannot be reached one place asks for all.
        for other in slots.indices where slots[other].state == .down {
            slots[other].notBefore = max(slots[other].notBefore, now + wait)
        }
        publishHealth(error: error, isSuccess: false)
        reactor.wake(tenant, at: now + wait)
    }

    func lost(_ place: Int, _ error: PostgresError, fatal: PostgresError?) {
        if slots[place].state == .connecting { return connectFailed(place, error) }
        metrics.lost.increment()
        logger.notice("connection to PostgreSQL lost", metadata: ["client": "\(name)", "error": "\(error)"])
        // A server that takes connections only to drop them is not asked in a tight loop, and not by all in step.
        let now = ContinuousClock.now
        let livedBriefly = slots[place].readySince.map { now - $0 < .seconds(1) } ?? true
        slots[place].notBefore = now + .milliseconds(Double.random(in: 0...(livedBriefly ? 500 : 50)))
        discardSession(place, error, fatal: fatal)
        _ = slots[place].state.apply(.lost)
        publishHealth(error: error, isSuccess: false)
        slots[place].restWaiter?.resume()
        slots[place].restWaiter = nil
        reactor.wake(tenant, at: .now)
    }

    /// The state has already moved on; the session follows.
    private func drop(_ place: Int, _ error: PostgresError, fatal: PostgresError?) {
        discardSession(place, error, fatal: fatal)
        publishHealth(error: nil, isSuccess: false)
        reactor.wake(tenant, at: .now)
    }

    /// Closes the session and answers or moves what was on it.
    private func discardSession(_ place: Int, _ error: PostgresError, fatal: PostgresError?) {
        slots[place].lease = nil
        slots[place].connectBy = nil
        slots[place].readySince = nil
        slots[place].replaceAt = nil
        guard let session = slots[place].session else { return }
        slots[place].session = nil
        placeOfSession[session.number] = nil
        let (begun, waiting) = session.closeTakingTrips()
        for (index, trip) in begun.enumerated() {
            // The server's last word belongs to the trip it was answering.
            let fatalHere = index == 0 ? fatal : nil
            var outcome = trip.state.outcomeIfLost(commitIndex: trip.commitIndex, fatal: fatalHere)
            if outcome.sqlState == nil, outcome.kind != .unknownOutcome { outcome.sqlState = error.sqlState }
            if index == 0, error.kind == .timeout, outcome.kind == .connection { outcome = error }
            answer(trip, .failure(outcome))
        }
        for trip in waiting.reversed() {
            if trip.purpose == .segment, slots[place].role == .shared {
                sharedQueue.prepend(trip)
            } else if trip.purpose == .segment {
                lineUp(.segment(trip))
            } else {
                answer(trip, .failure(error))
            }
        }
    }

    /// Its user has gone, its session is not yet at rest.
    private func isBeingCleaned(_ place: Int) -> Bool {
        guard slots[place].role == .exclusive, slots[place].lease == nil else { return false }
        switch slots[place].state {
        case .cleaning, .retiring: return true
        case .down, .connecting, .up, .closed: return false
        }
    }

    /// Brings a place to rest after its user has gone.
    func clean(_ place: Int) {
        guard let session = slots[place].session, session.isAtRest || !session.exchange.isNone else { return }
        switch session.exchange {
        case .none: break
        case .opening, .closing, .draining: return
        case .copyIn, .sending, .copyOut, .receiving:
            // Nobody will ever end this COPY.
            return lost(place, PostgresError(.connection, "a COPY was left in the middle"), fatal: nil)
        }
        switch session.handle.transactionStatus {
        case .idle: apply(.cleaned, to: place)
        case .inTransaction, .failed:
            session.submit(Trip(.rollback, ["ROLLBACK"], commitIndex: .max))
            touch(place)
        case .active, .unknown: lost(place, PostgresError(.connection, "the session is not at rest"), fatal: nil)
        }
    }
}
