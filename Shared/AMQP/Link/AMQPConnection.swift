import Logging
import NIOCore

/// One connection to the broker and its channels.
///
/// Not `Sendable`: all of it lives on its event loop, and so does whoever calls it. Every completion is called exactly
/// once: with an answer, or with the reason why there will be none. None is called after the connection's end.
final class AMQPConnection {
    typealias Completion<Value> = (Result<Value, AMQPError>) -> Void

    /// What an owner is told, always on the event loop.
    struct Events {
        var blocked: (_ reason: String?) -> Void
        /// All bytes of one read have been worked through.
        var readComplete: () -> Void
        /// Several times per heartbeat, for the owner's own deadlines.
        var tick: (NIODeadline) -> Void
        /// The connection is over. Called once, after all channels have been told.
        var ended: (AMQPError) -> Void
    }

    let eventLoop: any EventLoop
    let configuration: AMQPConfiguration
    let logger: Logger
    var events: Events?

    private let codec: LibraryCodec
    var machine: ConnectionMachine
    private var splitter = FrameSplitter()
    var channels: [UInt16: LinkedChannel] = [:]
    /// Numbers go round, so that frames of a channel that just ended don't meet its successor.
    private var lastNumber: UInt16 = 0
    private var usedNumbers: Set<UInt16> = []
    private(set) var agreement: ConnectionMachine.Agreement

    var transport: (any Channel)?
    var opening: Completion<Void>?
    var closing: [() -> Void] = []
    private(set) var end: AMQPError?
    /// The broker reads nothing from here, so it answers nothing either.
    private(set) var isBlocked = false

    private var outgoing = ByteBuffer()
    private var flushIsDue = false
    private var lastRead = NIODeadline.now()
    private var lastWrite = NIODeadline.now()
    private var ticking: Scheduled<Void>?

    /// This side needs few channels; a peer cannot make it keep state for many.
    static let channelLimit: UInt16 = 31

    init(
        configuration: AMQPConfiguration, eventLoop: any EventLoop, logger: Logger, events: Events
    ) throws(AMQPError) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.logger = logger
        self.events = events
        codec = try LibraryCodec()
        agreement = ConnectionMachine.Agreement(
            channelMax: Self.channelLimit, frameMax: configuration.frameMax,
            heartbeat: UInt16(clamping: max(1, configuration.heartbeat.components.seconds)))
        machine = ConnectionMachine(wish: agreement)
    }

    var isOpen: Bool { machine.state == .open }

    /// The bound of an answer.
    var answerTimeout: TimeAmount {
        configuration.answerTimeout.map { TimeAmount($0) } ?? .seconds(2 * Int64(agreement.heartbeat))
    }

    // MARK: - Bytes in

    func transportActive(_ channel: any Channel) {
        guard transport == nil, end == nil else { return channel.close(promise: nil) }
        transport = channel
        lastRead = .now()
        outgoing.writeString("AMQP")
        outgoing.writeBytes([0, 0, 9, 1])
        flush()
    }

    func received(_ bytes: ByteBuffer) {
        guard end == nil else { return }
        lastRead = .now()
        splitter.append(bytes)
        do throws(AMQPError) {
            while end == nil, let raw = try splitter.next() {
                let frame = try codec.decode(raw)
                if raw.channel == 0 { try connectionFrame(frame) } else { try channelFrame(frame, on: raw.channel) }
            }
            splitter.compact()
        } catch {
            fail(error)
        }
    }

    func readComplete() {
        events?.readComplete()
        flush()
    }

    private func connectionFrame(_ frame: InboundFrame) throws(AMQPError) {
        guard case .method(let method) = frame else { return }
        switch machine.received(method) {
        case .none: break
        case .sendStartOK:
            try write(
                .connectionStartOK(
                    user: configuration.user, password: configuration.password.value,
                    connectionName: configuration.connectionName))
        case .sendTuneOKAndOpen(let agreement):
            self.agreement = agreement
            splitter.frameMax = agreement.frameMax
            splitter.channelMax = agreement.channelMax
            try codec.agree(frameMax: agreement.frameMax)
            try write(
                .connectionTuneOK(
                    channelMax: agreement.channelMax, frameMax: UInt32(agreement.frameMax),
                    heartbeat: agreement.heartbeat))
            try write(.connectionOpen(virtualHost: configuration.virtualHost))
        case .opened:
            startTicking()
            opening.take()?(.success(()))
        case .blocked(let reason):
            isBlocked = true
            events?.blocked(reason)
            releaseQuestions()
        case .unblocked:
            isBlocked = false
            for channel in channels.values { channel.postpone(to: .now() + answerTimeout) }
            events?.blocked(nil)
        case .sendCloseOKAndEnd(let error):
            try write(.connectionCloseOK)
            flush()
            fail(error)
        case .end(let error): fail(error)
        }
    }

    private func channelFrame(_ frame: InboundFrame, on number: UInt16) throws(AMQPError) {
        guard let admitted = machine.admitsChannelFrames() else {
            throw .violation("a frame on channel \(number) before the connection is open")
        }
        guard admitted else { return }
        guard let channel = channels[number] else {
            // The broker may go on sending on a channel that it has just closed.
            guard usedNumbers.contains(number) else { throw .violation("a frame on channel \(number), never opened") }
            return
        }
        try handle(channel.machine.received(frame), on: channel)
    }

    private func handle(_ action: ChannelMachine.Action, on channel: LinkedChannel) throws(AMQPError) {
        switch action {
        case .none: break
        case .reply(let method): channel.answered(method)
        case .delivery(let delivery): channel.events(.delivery(delivery))
        case .returned(let message): channel.events(.returned(message))
        case .confirm(let tag, let multiple, let positive):
            channel.events(.confirm(tag: tag, multiple: multiple, positive: positive))
        case .consumerCancelled(let consumer): channel.events(.consumerCancelled(consumer: consumer))
        case .sendFlowOK(let active): try write(.channelFlowOK(active: active), on: channel.number)
        case .sendCloseOK: try write(.channelCloseOK, on: channel.number)
        case .closedByPeer(let farewell):
            try write(.channelCloseOK, on: channel.number)
            let reason = "\(farewell.code) \(farewell.text)"
            retire(channel, AMQPError(.channelClosedByPeer(code: farewell.code), reason))
        case .closed: retire(channel, AMQPError(.channelClosed, "channel closed by this side"))
        case .violation(let reason): throw .violation(reason)
        }
    }

    private func retire(_ channel: LinkedChannel, _ error: AMQPError) {
        channels[channel.number] = nil
        channel.ended(error)
    }

    // MARK: - Bytes out

    /// Appends a method; it leaves with the next flush, which is due before the event loop rests.
    func write(_ method: OutboundMethod, on channel: UInt16 = 0) throws(AMQPError) {
        try codec.encode(method, channel: channel, into: &outgoing)
        scheduleFlush()
    }

    /// Appends a whole message, or nothing.
    func write(
        publish: OutboundMethod, properties: MessageProperties, body: [UInt8], on channel: UInt16
    ) throws(AMQPError) {
        let start = outgoing.writerIndex
        do {
            try codec.encode(publish, channel: channel, into: &outgoing)
            try codec.encode(
                properties, bodySize: body.count, channel: channel, frameMax: agreement.frameMax, into: &outgoing)
        } catch {
            outgoing.moveWriterIndex(to: start)
            throw error
        }
        FrameWriter.writeBody(body, channel: channel, frameMax: agreement.frameMax, into: &outgoing)
        // Large bodies go out as they come, rather than as one growing block.
        if outgoing.readableBytes > 1 << 18 { flush() } else { scheduleFlush() }
    }

    private func scheduleFlush() {
        guard !flushIsDue else { return }
        flushIsDue = true
        eventLoop.assumeIsolated().execute { self.flush() }
    }

    func flush() {
        flushIsDue = false
        guard outgoing.readableBytes > 0, let transport else { return }
        lastWrite = .now()
        let bytes = outgoing
        outgoing = ByteBuffer()
        transport.writeAndFlush(bytes, promise: nil)
    }

    // MARK: - Time

    private func startTicking() {
        let interval = TimeAmount.nanoseconds(heartbeat.nanoseconds / 8)
        ticking = eventLoop.assumeIsolated().scheduleTask(in: interval) {
            guard self.end == nil else { return }
            self.startTicking()
            self.tick(interval)
        }
    }

    private var heartbeat: TimeAmount { .seconds(Int64(agreement.heartbeat)) }

    private func tick(_ interval: TimeAmount) {
        let now = NIODeadline.now()
        // One tick early, so that the verdict falls within two intervals of silence and not after them.
        if now - lastRead > heartbeat * 2 - interval {
            return fail(AMQPError(.silence, "nothing was heard for two heartbeats of \(agreement.heartbeat) s"))
        }
        // An alarm may last for hours, and answers come only behind it.
        if !isBlocked, channels.values.contains(where: { $0.isOverdue(at: now) }) {
            return fail(AMQPError(.timeout, "the broker did not answer in time"))
        }
        events?.tick(now)
        if now - lastWrite > interval * 3 {
            FrameWriter.writeHeartbeat(into: &outgoing)
            flush()
        }
    }

    // MARK: - Channels

    /// Opens a channel; `events` hears of it until its end.
    func openChannel(events: @escaping (ChannelEvent) -> Void, _ completion: @escaping Completion<UInt16>) {
        guard end == nil, isOpen else { return completion(.failure(end ?? notConnected)) }
        guard let number = freeNumber() else {
            return completion(.failure(AMQPError(.unencodable, "all \(agreement.channelMax) channels are in use")))
        }
        let channel = LinkedChannel(number: number, events: events)
        channels[number] = channel
        usedNumbers.insert(number)
        channel.waiting.append(deadline: .now() + answerTimeout) { completion($0.map { _ in number }) }
        do throws(AMQPError) { try write(.channelOpen, on: number) } catch { fail(error) }
    }

    private func freeNumber() -> UInt16? {
        for _ in 0..<agreement.channelMax {
            lastNumber = lastNumber >= agreement.channelMax ? 1 : lastNumber + 1
            if channels[lastNumber] == nil { return lastNumber }
        }
        return nil
    }

    /// Sends a method that has an answer. Answers come in the order of the questions. The connection is given up when
    /// one is overdue.
    func ask(_ method: OutboundMethod, on number: UInt16, _ completion: @escaping Completion<InboundMethod>) {
        guard end == nil else { return completion(.failure(end ?? notConnected)) }
        guard let channel = channels[number], channel.machine.state == .open, let reply = method.reply else {
            return completion(.failure(AMQPError(.channelClosed, "the channel is closed")))
        }
        do throws(AMQPError) {
            try write(method, on: number)
            channel.machine.asked(reply)
            channel.waiting.append(deadline: .now() + answerTimeout, completion)
        } catch {
            completion(.failure(error))
        }
    }

    /// Whether the channel is open. Nothing may be sent on one that is not: that would end the whole connection.
    func hasChannel(_ number: UInt16) -> Bool { end == nil && channels[number]?.machine.state == .open }

    /// Sends a method that has no answer. `false` if the channel is gone.
    @discardableResult
    func tell(_ method: OutboundMethod, on number: UInt16) -> Bool {
        guard hasChannel(number) else { return false }
        do throws(AMQPError) { try write(method, on: number) } catch { return false }
        return true
    }

    /// Closes the channel. Called back when the number is free again, at once if it is.
    func closeChannel(_ number: UInt16, _ completion: @escaping () -> Void) {
        guard end == nil, let channel = channels[number] else { return completion() }
        channel.closing.append(completion)
        guard channel.machine.requestClose() else { return }
        channel.failWaiting(AMQPError(.channelClosed, "channel closed by this side"))
        channel.closeDeadline = .now() + answerTimeout
        do throws(AMQPError) { try write(.channelClose(code: 200, text: "bye"), on: number) } catch { fail(error) }
    }

    /// Nobody waits for the end of an alarm. A channel that was being opened has no owner then, and is closed again.
    private func releaseQuestions() {
        for channel in channels.values.sorted(by: { $0.number < $1.number }) {
            channel.releaseWaiting(.blocked)
            if channel.machine.state == .opening { closeChannel(channel.number) {} }
        }
    }

    private var notConnected: AMQPError { AMQPError(.notConnected, "there is no connection to the broker") }

    // MARK: - End

    /// Says farewell and waits at most `timeout` for the answer; then drops the connection in any case.
    func close(within timeout: TimeAmount, _ completion: @escaping () -> Void) {
        guard end == nil else { return completion() }
        closing.append(completion)
        guard machine.requestClose() else {
            return fail(AMQPError(.connectionLost, "closed by this side"))
        }
        eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.fail(AMQPError(.connectionLost, "closed by this side, without an answer"))
        }
        do throws(AMQPError) {
            try write(.connectionClose(code: 200, text: "bye"))
            flush()
        } catch {
            fail(error)
        }
    }

    /// Ends the connection for good and tells everybody, once.
    func fail(_ error: AMQPError) {
        guard end == nil else { return }
        end = error
        machine.ended()
        ticking?.cancel()
        ticking = nil
        let ended = channels.values.sorted { $0.number < $1.number }
        channels = [:]
        for channel in ended { channel.ended(error) }
        opening.take()?(.failure(error))
        let events = self.events
        self.events = nil
        events?.ended(error)
        let waiting = closing
        closing = []
        for completion in waiting { completion() }
        transport?.close(promise: nil)
        transport = nil
    }
}
