import Logging

/// What a listener tells.
public enum ListenEvent: Sendable, Hashable {
    /// LISTEN is in effect: reread now, then wait for notifications.
    case listening
    case notification(channel: String, payload: String)
    /// The session is dead; until the next `.listening` nothing is heard.
    case degraded(PostgresError)
}

/// One LISTEN session, kept alive: connect, LISTEN, tell; probe on that same session; reconnect when it is dead.
actor ListenerCore: PostgresReactor.Tenant {
    private enum Stage {
        case waiting(until: ContinuousClock.Instant)
        case connecting(until: ContinuousClock.Instant)
        /// LISTEN is on its way.
        case asking
        case listening
        case stopped
    }

    /// How long a dead session may go unnoticed is at most the sum of the two.
    static let probeEvery = Duration.seconds(2)
    static let answerWithin = Duration.seconds(2)

    nonisolated let reactor: PostgresReactor
    private let channels: [String]
    private let configuration: PostgresConfiguration
    private let name: String
    private let logger: Logger
    private let continuation: AsyncStream<ListenEvent>.Continuation

    private var stage = Stage.waiting(until: .now)
    private var session: Session?
    private var nextSession: UInt32 = 1
    private var tenant: UInt32?
    private var backoff = Backoff()
    /// Which of the host's addresses the next attempt begins with.
    private var firstAddress = 0
    private var lastAsked = ContinuousClock.now

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    init(
        channels: [String], configuration: PostgresConfiguration, reactor: PostgresReactor, name: String,
        logger: Logger, continuation: AsyncStream<ListenEvent>.Continuation
    ) {
        self.channels = channels
        self.configuration = configuration
        self.reactor = reactor
        self.name = name
        self.logger = logger
        self.continuation = continuation
    }

    nonisolated func start() {
        reactor.execute {
            self.assumeIsolated { listener in
                guard case .waiting = listener.stage, listener.tenant == nil else { return }
                let tenant = listener.reactor.admit(listener)
                listener.tenant = tenant
                listener.reactor.wake(tenant, at: .now)
            }
        }
    }

    nonisolated func stop() {
        reactor.execute {
            self.assumeIsolated { listener in
                listener.stage = .stopped
                listener.session?.close()
                listener.session = nil
                if let tenant = listener.tenant { listener.reactor.dismiss(tenant) }
                listener.continuation.finish()
            }
        }
    }

    nonisolated func socketReady(_ number: UInt32, readable: Bool, writable: Bool) {
        assumeIsolated { listener in
            guard let session = listener.session, session.number == number else { return }
            listener.advance(session, readable: readable)
        }
    }

    nonisolated func timePassed(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        assumeIsolated { $0.tick(now) }
    }

    private func tick(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        switch stage {
        case .stopped: return now + .seconds(3600)
        case .waiting(let until):
            guard now >= until else { return until }
            connect(now)
            return now + .milliseconds(200)
        case .connecting(let until):
            if now >= until { failed(PostgresError(.timeout, "the server did not answer in time")) }
            return now + .milliseconds(50)
        case .asking, .listening:
            guard let session else { return now + .milliseconds(50) }
            if let since = session.headSince {
                if now - since >= Self.answerWithin { failed(PostgresError(.timeout, "no answer to the probe")) }
            } else if now - lastAsked >= Self.probeEvery {
                ask(["SELECT 1"], .probe, session)
            }
            return now + .milliseconds(100)
        }
    }

    private func connect(_ now: ContinuousClock.Instant) {
        let deadline = now + configuration.connectTimeout
        stage = .connecting(until: deadline)
        Resolver.resolve(configuration.host, on: reactor) { addresses in
            self.assumeIsolated { $0.open(addresses, deadline: deadline) }
        }
    }

    private func open(_ addresses: [Resolver.Address], deadline: ContinuousClock.Instant) {
        guard case .connecting(let until) = stage, until == deadline, session == nil, let tenant else { return }
        nextSession &+= 1
        guard !addresses.isEmpty else {
            return failed(PostgresError(.connection, "the host's name cannot be resolved"))
        }
        session = Session(
            number: nextSession, role: .listener, configuration: configuration,
            addresses: Resolver.rotated(addresses, by: firstAddress), tenant: tenant, reactor: reactor, generation: 0,
            now: .now)
        if session == nil { failed(PostgresError(.connection, "no connection could be begun")) }
    }

    private func ask(_ statements: [SQL], _ purpose: Trip.Purpose, _ session: Session) {
        lastAsked = .now
        session.submit(Trip(purpose, statements, commitIndex: .max))
        advance(session, readable: false)
    }

    private func advance(_ session: Session, readable: Bool) {
        for event in session.advance(readable: readable, now: .now) {
            guard self.session === session else { return }
            switch event {
            case .connected:
                stage = .asking
                ask(channels.map { "LISTEN \(identifier: $0)" }, .lease, session)
            case .finished(let trip):
                if let failure = trip.state.failure { return failed(failure) }
                guard trip.purpose == .lease else { continue }
                stage = .listening
                backoff.succeeded()
                continuation.yield(.listening)
            case .notified(let channel, let payload):
                continuation.yield(.notification(channel: channel, payload: payload))
            case .lost(let error, _): return failed(error)
            case .exchangeEnded: break
            }
        }
    }

    private func failed(_ error: PostgresError) {
        session?.close()
        session = nil
        if case .stopped = stage { return }
        if case .listening = stage { continuation.yield(.degraded(error)) }
        if case .connecting = stage { firstAddress &+= 1 }
        let isOurFault = error.sqlState?.hasPrefix("28") == true || error.message.contains("authentication failed")
        let wait = backoff.failed(isOurFault: isOurFault, jitter: Double.random(in: 0...1))
        if backoff.failures.nonzeroBitCount == 1 {
            logger.warning(
                "LISTEN is down", metadata: ["client": "\(name)", "error": "\(error)", "retry_in": "\(wait)"])
        }
        let until = ContinuousClock.now + wait
        stage = .waiting(until: until)
        if let tenant { reactor.wake(tenant, at: until) }
    }
}
