import Logging
import Metrics
import NIOCore

/// The consumer's life on its event loop: brings what is (attached, with which prefetch) to what is meant.
actor ConsumerCore {
    let eventLoop: any EventLoop
    private let configuration: AMQPConfiguration
    private let topology: Topology
    private let queue: String
    let buffer: DeliveryBuffer
    let settlements: SettlementQueue
    private let board: StatusBoard
    private let logger: Logger
    private let instruments: Instruments
    let consumeInstruments: ConsumeInstruments

    let wakeup: Wakeup
    var stopped: Stop?
    private var isRunning = false
    var connection: AMQPConnection?
    private var lost: AMQPError?
    private var hostIndex = 0

    private var isMeant = true
    private var prefetch: UInt16
    /// Callers who wait for the next time that what is agrees with what is meant, or cannot.
    private var settling: [CheckedContinuation<Void, Never>] = []

    /// What lives on the present channel.
    private struct Attachment {
        var channel: UInt16
        /// Changes with each start on the channel, since a cancelled one may still have deliveries on the way.
        var consumer: String
        var prefetch: UInt16
    }

    private var attachment: Attachment?
    /// Why the present channel must be built again.
    private var channelLoss: AMQPError?
    /// The present channel, while the consumer is being built up on it, too.
    var channel: UInt16?
    var generation: UInt64 = 0
    private var consumerNumber: UInt64 = 0
    var ledger = AckLedger()
    var arrived: [AMQPDelivery] = []
    /// While attached.
    var watch: QueueWatch?
    private var side = SideChannels()

    nonisolated var unownedExecutor: UnownedSerialExecutor { eventLoop.executor.asUnownedSerialExecutor() }

    init(
        configuration: AMQPConfiguration, topology: Topology, queue: String, prefetch: Int, eventLoop: any EventLoop,
        buffer: DeliveryBuffer, settlements: SettlementQueue, board: StatusBoard, logger: Logger
    ) {
        self.configuration = configuration
        self.topology = topology
        self.queue = queue
        self.prefetch = Self.valid(prefetch)
        self.eventLoop = eventLoop
        self.buffer = buffer
        self.settlements = settlements
        self.board = board
        self.logger = logger
        instruments = Instruments(connection: configuration.connectionName)
        consumeInstruments = ConsumeInstruments(connection: configuration.connectionName, queue: queue)
        wakeup = Wakeup(eventLoop: eventLoop)
    }

    /// 0 would mean "without bound" to the broker, and flood the memory from a long queue.
    private static func valid(_ prefetch: Int) -> UInt16 { UInt16(clamping: max(1, prefetch)) }

    // MARK: - From outside

    nonisolated func stop(_ stop: Stop) {
        eventLoop.execute { self.assumeIsolated { $0.stopNow(stop) } }
    }

    nonisolated func settled() {
        eventLoop.execute { self.assumeIsolated { $0.takeSettlements() } }
    }

    private func stopNow(_ stop: Stop) {
        if stopped == nil || stop == .immediate { stopped = stop }
        // What is still being set up is not worth finishing.
        if attachment == nil || stop == .immediate {
            connection?.fail(AMQPError(.connectionLost, "the consumer is stopped"))
        }
        wakeup.ring()
    }

    func setMeant(_ isMeant: Bool) async {
        self.isMeant = isMeant
        await reconciled()
    }

    func setPrefetch(_ prefetch: Int) async {
        self.prefetch = Self.valid(prefetch)
        await reconciled()
    }

    private func reconciled() async {
        show()
        guard isRunning, stopped == nil else { return }
        if connection?.isOpen != true && !isMeant { return }
        await withCheckedContinuation { continuation in
            settling.append(continuation)
            wakeup.ring()
        }
    }

    private func tellSettling() {
        let waiting = settling
        settling = []
        for continuation in waiting { continuation.resume() }
    }

    // MARK: - Life

    func run() async {
        isRunning = true
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
            tellSettling()
            await pause(backoff.next(after: Duration(.now() - began), using: &random))
        }
        await shutDown()
        isRunning = false
        tellSettling()
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
                blocked: { _ in },
                readComplete: { [weak self] in self?.assumeIsolated { $0.handOver() } },
                tick: { [weak self] now in self?.assumeIsolated { $0.tick(now) } },
                ended: { [weak self] error in self?.assumeIsolated { $0.ended(error) } }))
        self.connection = connection
        lost = nil
        try await connection.open(host)
        instruments.connects.increment()
        logger.info("consumer connected", metadata: ["broker": "\(host)", "queue": "\(queue)"])
    }

    /// Returns when the consumer is stopped; throws when the connection is lost. A lost channel is built again.
    private func stayConnected() async throws(AMQPError) {
        var backoff = Backoff(configuration.backoff)
        var random = SystemRandomNumberGenerator()
        var began = NIODeadline.now()
        while stopped == nil {
            if let lost { throw lost }
            guard let connection, connection.end == nil else { throw AMQPError(.connectionLost, "connection lost") }
            do throws(AMQPError) {
                try await reconcile(on: connection)
                if isReconciled { tellSettling() }
            } catch {
                guard connection.end == nil else { throw error }
                // Only the channel is gone: whatever it was, the next one waits for a while.
                logger.warning("consumer not attached", metadata: ["queue": "\(queue)", "reason": "\(error)"])
                board.update { $0.obstacle = error.reason }
                await dropChannel()
                tellSettling()
                await pause(backoff.next(after: Duration(.now() - began), using: &random))
                began = .now()
                continue
            }
            if isReconciled { await wakeup.wait() }
        }
    }

    private var isReconciled: Bool {
        guard isMeant else { return attachment == nil }
        return attachment?.prefetch == prefetch && channelLoss == nil
    }

    private var isLookDue: Bool { watch?.isLookDue(at: .now()) ?? false }

    private func tick(_ now: NIODeadline) {
        if watch?.isLookDue(at: now) == true { wakeup.ring() }
    }

    /// Asks the broker whether it still knows of the consumer; if the queue is gone, so is the channel's purpose.
    private func look(after attachment: Attachment, on connection: AMQPConnection) async throws(AMQPError) {
        let look = try await side.look(at: queue, on: connection)
        let hasRoom = ledger.inHand < Int(attachment.prefetch)
        guard let verdict = watch?.looked(look, hasRoom: hasRoom, at: .now()), verdict == .restart else { return }
        logger.debug("consumer begins anew", metadata: ["queue": "\(queue)", "consumers": "\(look.consumers)"])
        try await connection.declare(topology, on: attachment.channel)
        try await restart(attachment, on: connection)
    }

    private func reconcile(on connection: AMQPConnection) async throws(AMQPError) {
        if let channelLoss {
            self.channelLoss = nil
            throw channelLoss
        }
        switch (isMeant, attachment) {
        case (true, nil): try await attach(on: connection)
        case (true, .some(let attachment)) where attachment.prefetch != prefetch:
            try await restart(attachment, on: connection)
        case (true, .some(let attachment)) where isLookDue: try await look(after: attachment, on: connection)
        case (false, .some(let attachment)):
            try await connection.ask(.basicCancel(consumer: attachment.consumer), on: attachment.channel)
            await dropChannel()
        default: break
        }
        show()
    }

    private func attach(on connection: AMQPConnection) async throws(AMQPError) {
        generation += 1
        let generation = self.generation
        ledger = AckLedger()
        let channel = try await connection.openChannel { [weak self] event in
            self?.assumeIsolated { $0.channelEvent(event, generation: generation) }
        }
        self.channel = channel
        try await connection.declare(topology, on: channel)
        try await begin(on: channel, of: connection)
        consumeInstruments.rebuilds.increment()
    }

    /// Prefetch holds for consumers that begin after it: so it comes first.
    private func begin(on channel: UInt16, of connection: AMQPConnection) async throws(AMQPError) {
        consumerNumber += 1
        let next = Attachment(
            channel: channel, consumer: "\(configuration.connectionName.prefix(200))-\(consumerNumber)",
            prefetch: prefetch)
        try await connection.ask(.basicQos(prefetch: next.prefetch), on: channel)
        try await connection.ask(.basicConsume(queue: queue, consumer: next.consumer), on: channel)
        // It may have ended in the same breath as it was answered.
        guard self.channel == channel else { throw AMQPError(.channelClosed, "the channel ended while it was set up") }
        attachment = next
        watch = QueueWatch(startedAt: .now())
        logger.debug("consumer attached", metadata: ["queue": "\(queue)", "prefetch": "\(next.prefetch)"])
    }

    private func restart(_ old: Attachment, on connection: AMQPConnection) async throws(AMQPError) {
        try await connection.ask(.basicCancel(consumer: old.consumer), on: old.channel)
        try await begin(on: old.channel, of: connection)
    }

    /// Ends the channel, which gives back all that is unsettled, once.
    private func dropChannel() async {
        let channel = self.channel
        forgetChannel()
        if let channel { await connection?.closeChannel(channel) }
    }

    /// What was delivered on the channel will come again, so what nobody has taken is forgotten, and settling the rest
    /// does nothing.
    private func forgetChannel() {
        generation += 1
        attachment = nil
        channel = nil
        channelLoss = nil
        watch = nil
        ledger = AckLedger()
        arrived = []
        _ = buffer.discard()
        show()
    }

    private func loseConnection(_ error: AMQPError) {
        connection?.fail(error)
        connection = nil
        forgetChannel()
        guard stopped == nil else { return }
        instruments.losses.increment()
        logger.warning("consumer not connected", metadata: ["queue": "\(queue)", "reason": "\(error)"])
        board.update {
            $0.state = .disconnected(reason: error.reason)
            $0.obstacle = error.reason
        }
        instruments.show(board.current.state)
    }

    /// Cancel, finish what is in hand, close: each step in bounded time.
    private func shutDown() async {
        isMeant = false
        if stopped == .graceful, let attachment, let connection, connection.end == nil {
            _ = try? await connection.ask(.basicCancel(consumer: attachment.consumer), on: attachment.channel)
            handOver()
            ledger.drop(buffer.finish().map(\.tag.number))
            let limit = NIODeadline.now() + connection.answerTimeout
            while stopped == .graceful, connection.end == nil, ledger.inHand > 0, .now() < limit {
                await wakeup.wait(for: .milliseconds(50))
            }
            takeSettlements()
            if connection.end == nil { await connection.closeChannel(attachment.channel) }
        }
        _ = buffer.finish()
        await connection?.close(within: .seconds(1))
        connection = nil
        forgetChannel()
        board.update { $0.state = .disconnected(reason: "the consumer is stopped") }
        instruments.show(board.current.state)
    }

    private func show() {
        let isAttached = attachment != nil
        let isMeant = self.isMeant
        let isOpen = connection?.isOpen == true
        board.update {
            $0.isAttached = isAttached
            if isAttached { $0.obstacle = nil }
            $0.isMeant = isMeant
            if isOpen { $0.state = .connected }
        }
        consumeInstruments.attached.record(isAttached ? 1 : 0)
        consumeInstruments.meant.record(isMeant ? 1 : 0)
        if isOpen { instruments.show(.connected) }
    }

    // MARK: - Events of the connection

    private func ended(_ error: AMQPError) {
        lost = error
        side = SideChannels()
        let reason = error.reason
        board.update { $0.state = .disconnected(reason: reason) }
        forgetChannel()
        wakeup.ring()
    }

    private func channelEvent(_ event: ChannelEvent, generation: UInt64) {
        guard generation == self.generation else { return }
        switch event {
        case .delivery(let delivery): arrive(delivery)
        case .consumerCancelled(let consumer):
            guard consumer == attachment?.consumer || attachment == nil else { return }
            loseChannel(AMQPError(.channelClosed, "the broker cancelled the consumer"))
        case .ended(let error):
            guard connection?.end == nil, stopped == nil else { return }
            guard attachment != nil else {
                channel = nil
                return
            }
            forgetChannel()
            loseChannel(error)
        case .returned, .confirm: break
        }
    }

    private func loseChannel(_ error: AMQPError) {
        channelLoss = error
        board.update { $0.isAttached = false }
        consumeInstruments.attached.record(0)
        wakeup.ring()
    }
}
