public import Logging
public import NIOCore
public import ServiceLifecycle

/// Owns one connection and consumes one queue over it.
///
/// ``run()`` connects and builds the consumer in one ordered procedure (topology, prefetch, consume), whole or not at
/// all, and does so again after a lost connection, a closed channel or a consumer that the broker cancelled. What was
/// delivered before such a loss is delivered again, and settling the older delivery does nothing.
///
/// Handlers run on tasks of their own, never on the event loop: they take deliveries from ``deliveries`` or
/// ``nextBatch(max:within:)`` and settle each with ``ack(_:)`` or ``nack(_:requeue:)``.
public final class AMQPConsumer: Service {
    private let core: ConsumerCore
    private let buffer = DeliveryBuffer()
    private let settlements = SettlementQueue()
    private let board = StatusBoard()
    private let eventLoop: any EventLoop

    /// - Parameters:
    ///   - prefetch: how many deliveries may wait to be settled at once, 1 to 65,535.
    ///   - eventLoop: where all of it lives. Urgent and routine consumers should not share one.
    public init(
        configuration: AMQPConfiguration, topology: Topology, queue: String, prefetch: Int,
        eventLoop: any EventLoop, logger: Logger
    ) {
        self.eventLoop = eventLoop
        core = ConsumerCore(
            configuration: configuration, topology: topology, queue: queue, prefetch: prefetch, eventLoop: eventLoop,
            buffer: buffer, settlements: settlements, board: board, logger: logger)
    }

    /// Works until the task is cancelled or the service is asked to stop; then cancels the consumer, ends
    /// ``deliveries``, waits for what is in handlers' hands (``AMQPConfiguration/answerTimeout`` at most), and closes
    /// channel and connection.
    public func run() async throws {
        let core = self.core
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await core.run()
            } onGracefulShutdown: {
                core.stop(.graceful)
            }
        } onCancel: {
            core.stop(.immediate)
        }
    }

    // MARK: - Taking

    /// Deliveries one by one, for any number of tasks at once.
    public var deliveries: AMQPDeliveries { AMQPDeliveries(consumer: self) }

    /// Up to `max` deliveries, as soon as there is one.
    ///
    /// - Parameter time: how long to wait for the first; without end if `nil`.
    /// - Returns: empty if the time is up, the task is cancelled, or the consumer is stopped (``isStopped``).
    public func nextBatch(max: Int, within time: Duration? = nil) async -> [AMQPDelivery] {
        await buffer.next(Swift.max(1, max), within: time, on: eventLoop)
    }

    // MARK: - Settling

    /// Tells the broker that the delivery is done. Returns at once; acknowledgements of many handlers share frames.
    public func ack(_ delivery: AMQPDelivery) { settle(.acknowledge([delivery.tag])) }

    /// Tells the broker that these deliveries are done.
    public func ack(_ deliveries: some Sequence<AMQPDelivery>) { settle(.acknowledge(deliveries.map(\.tag))) }

    /// Tells the broker that this delivery and all unsettled older ones of its channel are done, those in other
    /// handlers' hands included.
    public func ack(upTo delivery: AMQPDelivery) { settle(.acknowledgeUpTo(delivery.tag)) }

    /// Gives the delivery back: to the queue, or to the broker's policy for dead letters if `requeue` is `false`.
    public func nack(_ delivery: AMQPDelivery, requeue: Bool) { settle(.giveBack(delivery.tag, requeue: requeue)) }

    private func settle(_ settlement: Settlement) {
        if settlements.append(settlement) { core.settled() }
    }

    // MARK: - Control

    /// Stops taking deliveries and gives all unsettled ones back at once, by ending the channel. Returns when that is
    /// done; the connection stays. Handlers that still work on one may settle it in vain: it will come again.
    public func pause() async { await core.setMeant(false) }

    /// Takes deliveries again. Returns when the consumer is attached, or has met its first obstacle.
    public func resume() async { await core.setMeant(true) }

    /// Changes how many deliveries may wait to be settled at once. The consumer is cancelled and begun anew on the same
    /// channel, so unsettled ones stay in hand. Does nothing if the number is the present one.
    public func setPrefetch(_ prefetch: Int) async { await core.setPrefetch(prefetch) }

    // MARK: - Looking

    /// What the connection is doing.
    public var state: ConnectionState { board.current.state }

    /// Whether the broker has a consumer of ours on the queue. To be compared with ``isMeant``.
    public var isAttached: Bool { board.current.isAttached }

    /// Why the last try to attach failed; `nil` while attached.
    public var obstacle: String? { board.current.obstacle }

    /// Whether there should be one: neither paused nor stopped.
    public var isMeant: Bool { board.current.isMeant }

    /// The consumer is stopped for good; nothing more will be delivered.
    public var isStopped: Bool { buffer.isFinished }

    /// Waits until the consumer is attached, at most `time`; says whether it is.
    public func waitUntilAttached(within time: Duration) async -> Bool {
        await board.wait(within: time, on: eventLoop) { $0.isAttached }
    }
}
