import DequeModule

/// One connection at work: writes trips, reads answers, and says what happened. It never waits.
///
/// While libpq holds unsent bytes the socket is watched for both reading and writing, and input is taken whenever
/// there is some: otherwise the server could be blocked writing answers while we are blocked writing questions.
final class Session {
    enum Phase {
        case connecting
        case ready
        case closed
    }

    enum Event {
        case connected
        case finished(Trip)
        /// A COPY or a script has ended and the session is back in pipeline mode.
        case exchangeEnded
        case notified(channel: String, payload: String)
        /// Unusable from now on; `fatal` is the server's last word, if it said one.
        case lost(PostgresError, fatal: PostgresError?)
    }

    /// Above this a session's buffers have grown (libpq never shrinks them), so it is replaced when it is idle.
    static let largeBytes = 1 << 20
    /// Bytes given to libpq before asking it to send them.
    private static let bytesPerFlush = 64 << 10

    let number: UInt32
    let role: SessionRole
    let handle: LibPQHandle
    let startedAt: ContinuousClock.Instant
    var phase = Phase.connecting
    var cache: StatementCache
    /// Of the prepared statements in the cache.
    private(set) var generation: Int
    /// What it will be once the last DEALLOCATE ALL that was submitted is written.
    private var comingGeneration: Int

    /// Not wholly written; the first may be partly so.
    private var unwritten: Deque<Trip> = []
    /// Begun and not wholly answered.
    private var unanswered: Deque<Trip> = []
    /// Since when the trip at the head is being answered; nil if there is none.
    private(set) var headSince: ContinuousClock.Instant?
    private(set) var lastUsed: ContinuousClock.Instant
    private(set) var isSwollen = false
    private var bytesSinceFlush = 0
    /// libpq holds bytes that the socket did not take.
    var holdsUnsentBytes = false
    var exchange = Exchange.none
    /// Until when the present step of the exchange must be answered.
    var exchangeBy: ContinuousClock.Instant
    /// libpq has said that a COPY's rows are all read, in the middle of a chunk.
    var copyOutHasEnded = false
    var events: [Event] = []

    private let tenant: UInt32
    private let reactor: PostgresReactor
    private var watched: (descriptor: Int32, readable: Bool, writable: Bool)?

    init?(
        number: UInt32, role: SessionRole, configuration: PostgresConfiguration, addresses: [Resolver.Address],
        tenant: UInt32, reactor: PostgresReactor, generation: Int, now: ContinuousClock.Instant
    ) {
        let parameters = configuration.connectionParameters(role: role, addresses: addresses)
        guard let handle = LibPQHandle(parameters: parameters), !handle.hasFailed else { return nil }
        self.number = number
        self.role = role
        self.handle = handle
        self.tenant = tenant
        self.reactor = reactor
        self.generation = generation
        comingGeneration = generation
        startedAt = now
        lastUsed = now
        exchangeBy = now
        cache = StatementCache(capacity: configuration.preparedStatements)
        watch(readable: false, writable: true)
    }

    var isAtRest: Bool { unwritten.isEmpty && unanswered.isEmpty && exchange.isNone }
    var tripCount: Int { unwritten.count { !$0.hasBegun } + unanswered.count }

    /// Gives up the connection.
    func close() {
        if let watched { reactor.unwatch(watched.descriptor) }
        watched = nil
        phase = .closed
        handle.finish()
        unwritten = []
        unanswered = []
        headSince = nil
        exchange.fail(PostgresError(.connection, "the connection was lost"))
        exchange = .none
    }

    /// Gives up the connection; returns what was still to be answered.
    func closeTakingTrips() -> (begun: [Trip], waiting: [Trip]) {
        let trips = (begun: Array(unanswered), waiting: Array(unwritten.filter { !$0.hasBegun }))
        close()
        return trips
    }

    func submit(_ trip: Trip) {
        unwritten.append(trip)
    }

    /// Has all prepared statements of earlier generations dropped ahead of what is submitted from now on; says whether
    /// there is anything to write for it. What stands before is still written with them, so the cache is emptied later.
    func dropStatements(before generation: Int) -> Bool {
        guard comingGeneration != generation else { return false }
        comingGeneration = generation
        submit(Trip(.deallocateAll(generation: generation), ["DEALLOCATE ALL"], commitIndex: .max))
        return true
    }

    /// Does whatever can be done now.
    func advance(readable: Bool, now: ContinuousClock.Instant) -> [Event] {
        if !isLost { work(readable: readable, now: now) }
        defer { events = [] }
        return events
    }

    private func work(readable: Bool, now: ContinuousClock.Instant) {
        switch phase {
        case .closed: break
        case .connecting: advanceConnecting()
        case .ready:
            if readable || holdsUnsentBytes, !handle.consumeInput() {
                // What the server said before it hung up may still be in the buffer.
                read(now)
                drainNotifications()
                lose()
                break
            }
            // Settings that changed and last words come unasked: parse them though nothing is awaited.
            _ = handle.isBusy
            read(now)
            drainNotifications()
            if exchange.isNone { write(now) } else { advanceExchange() }
            // Writing may itself have taken input, of which the socket will not tell again.
            read(now)
            drainNotifications()
            if !isLost { watch(readable: exchange.wantsInput, writable: holdsUnsentBytes) }
        }
    }

    func lose(_ error: PostgresError? = nil, fatal: PostgresError? = nil) {
        guard phase != .closed else { return }
        if isLost { return }
        var lost = error ?? PostgresError(.connection, handle.errorMessage)
        if lost.sqlState == nil { lost.sqlState = handle.lastNoticeState }
        events.append(.lost(lost, fatal: fatal))
    }

    private var isLost: Bool {
        events.contains { if case .lost = $0 { true } else { false } }
    }

    func watch(readable: Bool, writable: Bool) {
        let descriptor = handle.socket
        guard descriptor >= 0 else { return }
        if let watched, watched.descriptor == descriptor, watched.readable == readable, watched.writable == writable,
            phase == .ready
        {
            return
        }
        reactor.watch(descriptor, tenant: tenant, session: number, readable: readable, writable: writable)
        watched = (descriptor, readable, writable)
    }

    // MARK: Connecting

    private func advanceConnecting() {
        switch handle.poll() {
        case .reading: watch(readable: true, writable: false)
        case .writing: watch(readable: false, writable: true)
        case .failed: lose()
        case .ready:
            guard handle.becomeNonBlocking(), handle.enterPipeline() else { return lose() }
            watch(readable: true, writable: false)
            phase = .ready
            events.append(.connected)
        }
    }

    // MARK: Writing

    private func write(_ now: ContinuousClock.Instant) {
        if holdsUnsentBytes { flush() }
        while !holdsUnsentBytes, !isLost, let trip = unwritten.first {
            if !trip.hasBegun {
                if unanswered.isEmpty { headSince = now }
                if case .deallocateAll(let next) = trip.purpose {
                    cache.removeAll()
                    generation = next
                }
                trip.generation = generation
                unanswered.append(trip)
                if trip.byteCount > Self.largeBytes { isSwollen = true }
            }
            if trip.nextStatement < trip.statements.count {
                guard write(trip.statements[trip.nextStatement], index: trip.nextStatement, of: trip) else {
                    return lose()
                }
                trip.nextStatement += 1
            } else {
                guard handle.sync() else { return lose() }
                trip.state.sent(.sync)
                unwritten.removeFirst()
                // The sync sends what there is; asking again tells whether the socket took all of it.
                flush()
            }
            if bytesSinceFlush >= Self.bytesPerFlush { flush() }
        }
    }

    private func write(_ sql: SQL, index: Int, of trip: Trip) -> Bool {
        bytesSinceFlush += sql.byteCount
        let types = sql.parameters.map(\.type)
        let parameters = EncodedParameters(sql.parameters)
        if trip.isDeallocation {
            guard handle.execute(text: sql.text, types: types, parameters: parameters) else { return false }
        } else {
            let name: String
            switch cache.name(for: sql.text) {
            case .known(let known): name = known
            case .new(let new):
                bytesSinceFlush += sql.text.utf8.count
                guard handle.prepare(name: new, text: sql.text, types: types) else { return false }
                trip.state.sent(.prepare(text: sql.text, name: new))
                name = new
            }
            guard handle.execute(name: name, parameters: parameters) else { return false }
        }
        trip.state.sent(.execute(index: index))
        return true
    }

    func flush() {
        bytesSinceFlush = 0
        switch handle.flush() {
        case .everything: holdsUnsentBytes = false
        case .partly: holdsUnsentBytes = true
        case .failed:
            holdsUnsentBytes = false
            // A fatal message may explain it; the next read finds it or the end.
            if !handle.consumeInput() || handle.hasFailed {
                read(lastUsed)
                lose()
            }
        }
    }

    // MARK: Reading

    private func read(_ now: ContinuousClock.Instant) {
        guard exchange.isNone else { return readExchange() }
        while !isLost, let trip = unanswered.first, trip.state.awaitsAnswer, !handle.isBusy {
            let event: TripState.Event
            if let result = handle.nextResult() {
                if result.byteCount > Self.largeBytes { isSwollen = true }
                switch result.status {
                case .command, .rows: event = .rows(Rows(result: result))
                case .skipped: event = .skipped
                case .sync: event = .sync
                case .copyIn, .copyOut, .other: event = .other
                case .failed:
                    let error = result.error
                    if error.sqlState == nil { return lose(error) }
                    if error.severity != "ERROR" { return lose(error, fatal: error) }
                    event = .failed(error)
                }
            } else {
                // On a dead connection libpq would answer NULL for ever.
                if handle.hasFailed { return lose() }
                event = .end
            }
            lastUsed = now
            switch trip.state.receive(event) {
            case .none: break
            case .forget(let text, let name): cache.forget(text, name: name)
            case .violation: return lose(PostgresError(.connection, "the server's answers came out of order"))
            case .finished:
                unanswered.removeFirst()
                headSince = unanswered.isEmpty ? nil : now
                events.append(.finished(trip))
            }
        }
    }

    private func drainNotifications() {
        guard role == .listener, phase == .ready else { return }
        while let notification = handle.nextNotification() {
            events.append(.notified(channel: notification.channel, payload: notification.payload))
        }
    }
}
