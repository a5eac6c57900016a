public import Logging
public import NIOCore
public import ServiceLifecycle

/// Owns one connection and publishes over it with confirms.
///
/// ``run()`` connects, restores all that lives on the connection in one ordered procedure (topology, channel, confirms)
/// and does so again after every loss, with pauses that grow. Publishing from many tasks at once is the normal case.
///
/// Consumers have connections of their own (``AMQPConsumer``): a broker under a memory or disk alarm stops reading from
/// connections that publish, and acknowledgements on such a connection would stand still with them.
public final class AMQPPublisher: Service {
    private let core: PublisherCore
    private let submissions = SubmissionQueue()
    private let board = StatusBoard()
    private let eventLoop: any EventLoop

    /// - Parameters:
    ///   - topology: declared on every connect, before the first publish.
    ///   - eventLoop: where all of it lives. Urgent and routine publishers should not share one.
    ///   - maxUnconfirmed: how many messages may be in flight at once; more wait for their turn.
    public init(
        configuration: AMQPConfiguration, topology: Topology, eventLoop: any EventLoop, maxUnconfirmed: Int = 500,
        logger: Logger
    ) {
        self.eventLoop = eventLoop
        core = PublisherCore(
            configuration: configuration, topology: topology, eventLoop: eventLoop,
            maxUnconfirmed: max(1, maxUnconfirmed), submissions: submissions, board: board, logger: logger)
    }

    /// Works until the task is cancelled or the service is asked to stop; then waits for the confirms that are due, as
    /// long as a publish may take, and closes the connection.
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

    /// Publishes one message and waits for what became of it.
    ///
    /// Never hangs: a broker that falls silent is given up after two heartbeats, and one that lives but does not confirm
    /// after ``AMQPConfiguration/answerTimeout``. While there is no connection, or the broker is blocked by an alarm, the
    /// outcome is ``PublishOutcome/unknown`` at once. Cancelling the task ends the wait as unknown; the message may
    /// arrive nevertheless.
    ///
    /// A message that cannot travel (properties larger than a frame, a name over 255 bytes, a body over 128 MiB, an
    /// exchange that is not in the topology) is refused before a byte of it is sent.
    ///
    /// - Parameters:
    ///   - properties: give each message an id of its own; a return is told apart by it.
    ///   - mandatory: refuse the message if no queue is bound for it. The broker confirms, and forgets, it otherwise.
    public func publish(
        exchange: String, routingKey: String, properties: MessageProperties, body: [UInt8], mandatory: Bool = true
    ) async -> PublishOutcome {
        let id = submissions.nextID()
        let core = self.core
        return await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let submission = Submission(
                    id: id, exchange: exchange, routingKey: routingKey, properties: properties, body: body,
                    mandatory: mandatory, submitted: .now(), waiter: waiter)
                if submissions.append(submission) { core.submitted() }
                // The handler below may have run before there was anything to abandon.
                if Task.isCancelled { core.abandon(id) }
            }
        } onCancel: {
            core.abandon(id)
        }
    }

    /// What the connection is doing.
    public var state: ConnectionState { board.current.state }

    /// Messages that are sent, or wait to be, and whose outcome is open.
    public var unconfirmed: Int { board.current.unconfirmed }

    /// Declares the topology again, on a channel of its own. Declaring what exists changes nothing.
    ///
    /// - Throws: ``AMQPError``; of kind `topologyMismatch` if the broker has something else under one of the names, of
    ///   kind `blocked`, at once, while an alarm lasts.
    public func declareTopology() async throws {
        try await core.declareTopology()
    }

    /// How many messages of the queue wait to be delivered, and how long the broker took to say so. An overloaded broker
    /// may say 0 after a while without having looked, so a late 0 proves nothing.
    ///
    /// - Throws: ``AMQPError``; of kind `channelClosedByPeer(code: 404)` if there is no such queue, of kind `blocked`, at
    ///   once, while an alarm lasts.
    public func readyCount(queue: String) async throws -> (count: Int, answeredIn: Duration) {
        try await core.readyCount(queue: queue)
    }

    /// Waits until the publisher is connected and everything is restored, at most `time`; says whether it is.
    public func waitUntilConnected(within time: Duration) async -> Bool {
        await board.wait(within: time, on: eventLoop) { $0.state.isConnected }
    }
}
