import DequeModule
import Logging
import Metrics
import NIOCore

/// The publisher's life on its event loop.
actor PublisherCore {
    let eventLoop: any EventLoop
    private let configuration: AMQPConfiguration
    private let topology: Topology
    private let maxUnconfirmed: Int
    private let submissions: SubmissionQueue
    private let board: StatusBoard
    private let logger: Logger
    private let instruments: Instruments
    private let publishInstruments: PublishInstruments

    private let wakeup: Wakeup
    private var stopped: Stop?
    private var connection: AMQPConnection?
    /// The channel that publishes, once confirms are on.
    private var channel: UInt16?
    /// Tells the present channel's events from those of one that was given up.
    private var generation: UInt64 = 0
    private var lost: AMQPError?
    private var blocked: (reason: String, since: NIODeadline)?
    private var ledger = ConfirmLedger<Submission>()
    private var waiting: Deque<Submission> = []
    private var side = SideChannels()
    private var hostIndex = 0

    /// Body bytes in flight above which messages wait although the window has room.
    private static let maxUnconfirmedBytes = 32 << 20
    /// A message that was sent within this time has not stood in line.
    private static let straightThrough = TimeAmount.milliseconds(100)

    nonisolated var unownedExecutor: UnownedSerialExecutor { eventLoop.executor.asUnownedSerialExecutor() }

    init(
        configuration: AMQPConfiguration, topology: Topology, eventLoop: any EventLoop, maxUnconfirmed: Int,
        submissions: SubmissionQueue, board: StatusBoard, logger: Logger
    ) {
        self.configuration = configuration
        self.topology = topology
        self.eventLoop = eventLoop
        self.maxUnconfirmed = maxUnconfirmed
        self.submissions = submissions
        self.board = board
        self.logger = logger
        instruments = Instruments(connection: configuration.connectionName)
        publishInstruments = PublishInstruments(connection: configuration.connectionName)
        wakeup = Wakeup(eventLoop: eventLoop)
    }

    // MARK: - From outside

    nonisolated func stop(_ stop: Stop) {
        eventLoop.execute { self.assumeIsolated { $0.stopNow(stop) } }
    }

    nonisolated func submitted() {
        eventLoop.execute { self.assumeIsolated { $0.takeSubmissions() } }
    }

    nonisolated func abandon(_ id: UInt64) {
        eventLoop.execute { self.assumeIsolated { $0.abandonNow(id) } }
    }

    private func stopNow(_ stop: Stop) {
        if stopped == nil || stop == .immediate { stopped = stop }
        // What is still being set up is not worth finishing.
        if channel == nil || stop == .immediate {
            connection?.fail(AMQPError(.connectionLost, "the publisher is stopped"))
        }
        wakeup.ring()
    }

    // MARK: - Life

    func run() async {
        var backoff = Backoff(configuration.backoff)
        var random = SystemRandomNumberGenerator()
        while stopped == nil {
            let began = NIODeadline.now()
            do throws(AMQPError) {
                try await connect()
                try await stayConnected()
            } catch {
                loseConnection(error)
            }
            await pause(backoff.next(after: Duration(.now() - began), using: &random))
        }
        await shutDown()
    }

    private func pause(_ time: Duration) async {
        guard stopped == nil else { return }
        wakeup.reset()
        await wakeup.wait(for: TimeAmount(time))
    }

    private func connect() async throws(AMQPError) {
        let host = configuration.hosts[hostIndex % configuration.hosts.count]
        hostIndex += 1
        let connection = try AMQPConnection(
            configuration: configuration, eventLoop: eventLoop, logger: logger,
            events: AMQPConnection.Events(
                blocked: { [weak self] reason in self?.assumeIsolated { $0.blockedChanged(reason) } },
                readComplete: { [weak self] in self?.assumeIsolated { $0.sendWaiting() } },
                tick: { [weak self] now in self?.assumeIsolated { $0.tick(now) } },
                ended: { [weak self] error in self?.assumeIsolated { $0.ended(error) } }))
        self.connection = connection
        lost = nil
        try await connection.open(host)
        try await restore(connection)
        instruments.connects.increment()
        logger.info("publisher connected", metadata: ["broker": "\(host)"])
    }

    /// Topology, channel, confirms: in this order, whole or not at all.
    private func restore(_ connection: AMQPConnection) async throws(AMQPError) {
        try await side.declare(topology, on: connection)
        generation += 1
        let generation = self.generation
        let number = try await connection.openChannel { [weak self] event in
            self?.assumeIsolated { $0.channelEvent(event, generation: generation) }
        }
        try await connection.ask(.confirmSelect, on: number)
        // It may have ended in the same breath as it was answered.
        guard connection.hasChannel(number) else {
            throw AMQPError(.channelClosed, "the channel ended while it was set up")
        }
        channel = number
        showState()
        sendWaiting()
    }

    /// Returns when the publisher is stopped; throws when the connection is lost. A lost channel is restored.
    private func stayConnected() async throws(AMQPError) {
        var backoff = Backoff(configuration.backoff)
        var random = SystemRandomNumberGenerator()
        var restored = NIODeadline.now()
        while stopped == nil {
            if let lost { throw lost }
            guard let connection, connection.end == nil else { throw AMQPError(.connectionLost, "connection lost") }
            if channel != nil {
                await wakeup.wait()
            } else {
                await pause(backoff.next(after: Duration(.now() - restored), using: &random))
                guard stopped == nil, lost == nil else { continue }
                try await restore(connection)
                restored = .now()
            }
        }
    }

    private func loseConnection(_ error: AMQPError) {
        connection?.fail(error)
        connection = nil
        if stopped == nil {
            instruments.losses.increment()
            logger.warning("publisher not connected", metadata: ["reason": "\(error)"])
        }
    }

    private func shutDown() async {
        if stopped == .graceful, channel != nil {
            let limit = NIODeadline.now() + (connection?.answerTimeout ?? .zero)
            while stopped == .graceful, channel != nil, ledger.count + waiting.count > 0, .now() < limit {
                await wakeup.wait(for: .milliseconds(50))
            }
        }
        await connection?.close(within: .seconds(1))
        connection = nil
        takeSubmissions()
        giveUp(AMQPError(.connectionLost, "the publisher is stopped"))
    }

    // MARK: - Events of the connection

    private func ended(_ error: AMQPError) {
        lost = error
        channel = nil
        side = SideChannels()
        blocked = nil
        giveUp(error)
        wakeup.ring()
    }

    /// Everything in flight and in line becomes unknown.
    private func giveUp(_ error: AMQPError) {
        channel = nil
        let open = ledger.failAll() + waiting
        waiting = []
        // First the state, then those who may look at it.
        board.update { $0.state = .disconnected(reason: error.reason) }
        instruments.show(board.current.state)
        resolve(open.map { ($0, .unknown) })
    }

    private func blockedChanged(_ reason: String?) {
        blocked = reason.map { (reason: $0, since: blocked?.since ?? .now()) }
        if let reason {
            logger.warning("the broker accepts no publishes", metadata: ["reason": "\(reason)"])
            let unsent = waiting
            waiting = []
            resolve(unsent.map { ($0, .unknown) })
        } else {
            logger.info("the broker accepts publishes again")
        }
        showState()
        sendWaiting()
    }

    private func channelEvent(_ event: ChannelEvent, generation: UInt64) {
        guard generation == self.generation else { return }
        switch event {
        case .confirm(let tag, let multiple, let positive):
            resolve(ledger.settle(tag: tag, multiple: multiple, positive: positive))
            if stopped != nil { wakeup.ring() }
        case .returned(let message):
            ledger.returned(
                messageID: message.properties.returnKey, exchange: message.exchange, routingKey: message.routingKey,
                reason: "returned: \(message.code) \(message.text)")
        case .ended(let error):
            giveUp(error)
            guard connection?.end == nil, stopped == nil else { return }
            logger.warning("publishing channel lost", metadata: ["reason": "\(error)"])
            wakeup.ring()
        case .delivery, .consumerCancelled: break
        }
    }

    private func tick(_ now: NIODeadline) {
        guard let connection else { return }
        let expired = ledger.expire(at: now)
        let overdue = now - connection.answerTimeout
        let unsent = waiting.prefix { $0.submitted <= overdue }
        waiting.removeFirst(unsent.count)
        // While an alarm lasts the broker reads nothing, the farewell of a channel included.
        if expired.isAny, blocked == nil, let channel {
            logger.warning("confirms are overdue; the channel is given up")
            generation += 1
            giveUp(AMQPError(.timeout, "the broker does not confirm"))
            connection.closeChannel(channel) {}
            wakeup.ring()
        }
        resolve((expired.waiters + unsent).map { ($0, .unknown) })
    }

    private func showState() {
        guard connection?.end == nil, channel != nil else { return }
        let state: ConnectionState = blocked.map { .blocked(reason: $0.reason, since: $0.since) } ?? .connected
        board.update { $0.state = state }
        instruments.show(state)
    }

    // MARK: - Messages

    private func takeSubmissions() {
        let taken = submissions.takeAll()
        guard channel != nil, blocked == nil, stopped == nil else {
            return resolve(taken.map { ($0, .unknown) })
        }
        waiting.append(contentsOf: taken)
        sendWaiting()
    }

    private func sendWaiting() {
        guard let connection, let channel, blocked == nil, connection.hasChannel(channel) else {
            return countUnconfirmed()
        }
        while ledger.count < maxUnconfirmed, ledger.bytes < Self.maxUnconfirmedBytes,
            let submission = waiting.popFirst()
        {
            send(submission, on: channel, of: connection)
        }
        countUnconfirmed()
    }

    private func send(_ submission: Submission, on channel: UInt16, of connection: AMQPConnection) {
        guard topology.knows(exchange: submission.exchange) else {
            return resolve([(submission, .refused(reason: "the exchange is not in the topology"))])
        }
        guard submission.body.count <= configuration.largestBody else {
            let reason = "a body of \(submission.body.count) bytes, where \(configuration.largestBody) may be sent"
            return resolve([(submission, .refused(reason: reason))])
        }
        let properties = submission.properties.withReturnKey(submission.id)
        do throws(AMQPError) {
            try connection.write(
                publish: .basicPublish(
                    exchange: submission.exchange, routingKey: submission.routingKey, mandatory: submission.mandatory),
                properties: properties, body: submission.body, on: channel)
        } catch {
            return resolve([(submission, .refused(reason: error.reason))])
        }
        // Time in line is none of the broker's. Where there was none, waiter and channel give up together.
        let now = NIODeadline.now()
        let hasWaited = now - submission.submitted > Self.straightThrough
        ledger.sent(
            ConfirmLedger.Entry(
                waiter: submission, submission: submission.id, messageID: properties.returnKey,
                exchange: submission.exchange, routingKey: submission.routingKey, bytes: submission.body.count,
                deadline: submission.submitted + connection.answerTimeout,
                confirmBy: (hasWaited ? now : submission.submitted) + connection.answerTimeout))
    }

    private func abandonNow(_ id: UInt64) {
        // It may still be among those that were handed in a moment ago.
        takeSubmissions()
        if let index = waiting.firstIndex(where: { $0.id == id }) {
            resolve([(waiting.remove(at: index), .unknown)])
        } else if let submission = ledger.abandon(submission: id) {
            resolve([(submission, .unknown)])
        }
    }

    private func resolve(_ settled: [(Submission, PublishOutcome)]) {
        guard !settled.isEmpty else { return }
        countUnconfirmed()
        let now = NIODeadline.now()
        for (submission, outcome) in settled {
            publishInstruments.count(outcome)
            if case .confirmed = outcome {
                publishInstruments.confirmTime.recordNanoseconds((now - submission.submitted).nanoseconds)
            }
            submission.waiter.resume(returning: outcome)
        }
    }

    private func countUnconfirmed() {
        let count = ledger.count + waiting.count
        board.update { $0.unconfirmed = count }
        publishInstruments.unconfirmed.record(count)
    }

    // MARK: - Questions

    func declareTopology() async throws(AMQPError) {
        try await side.declare(topology, on: usable())
    }

    func readyCount(queue: String) async throws(AMQPError) -> (count: Int, answeredIn: Duration) {
        let look = try await side.look(at: queue, on: usable())
        return (Int(look.ready), look.answeredIn)
    }

    private func usable() throws(AMQPError) -> AMQPConnection {
        guard let connection, connection.isOpen else {
            throw AMQPError(.notConnected, "there is no connection to the broker")
        }
        // It would be answered after the alarm, and count as overdue long before.
        guard !connection.isBlocked else { throw .blocked }
        return connection
    }
}
