public import AMQP
public import Logging
public import Model
public import NIOCore
public import Postgres
public import ServiceLifecycle

/// One queue, one handler. Exactly-once by the inbox; acknowledges after the COMMIT.
///
/// A consumer of the emergency lane takes its events by two ways: from the broker, and from the `api_emergency_outbox`
/// views of the producers that it names, so that no state of the broker delays an emergency.
public struct Consumer: Service {
    /// As CONTRACTS.md names it, also in the inbox: `dispatch.emergency`.
    public let name: String
    public let lane: Lane
    let queue: String
    let amqp: AMQPConsumer
    let worker: Worker
    let attempts: LaneAttempts
    let database: PostgresClient
    let gate: DatabaseGate
    let producers: [ServiceName]
    let settings: ConsumerSettings
    let flow: FlowControl?
    let executor: (any TaskExecutor)?
    let metrics: ConsumerMetrics
    let logger: Logger
    let inHand = InHand()
    let health = Mutexed(Health())

    /// - Parameters:
    ///   - name: the consumer's name in the inbox; the queue's unless said otherwise.
    ///   - producers: whose `api_emergency_outbox` the lane watches. Ignored for routine consumers.
    ///   - database: of a background role; the lane has one of its own.
    ///   - eventLoop: where the consumer's connection lives; the lane has one of its own.
    ///   - flow: by which routine consumers give way to the lane.
    ///   - executor: where handlers run; the lane has one of its own.
    public init(
        name: String? = nil, queue: String, lane: Lane, service: ServiceName, handler: any EventHandler,
        producers: [ServiceName] = [], messaging: Messaging, database: PostgresClient,
        configuration: AMQPConfiguration, topology: Topology = CityTopology.topology, eventLoop: any EventLoop,
        flow: FlowControl? = nil, executor: (any TaskExecutor)? = nil, settings: ConsumerSettings? = nil,
        logger: Logger
    ) {
        let name = name ?? queue
        let settings = settings ?? (lane == .emergency ? .emergency : .routine)
        var logger = logger
        logger[metadataKey: "consumer"] = "\(name)"
        self.name = name
        self.queue = queue
        self.lane = lane
        self.database = database
        self.producers = lane == .emergency ? producers : []
        self.settings = settings
        self.flow = lane == .emergency ? nil : flow
        self.executor = executor
        self.logger = logger
        self.metrics = ConsumerMetrics(consumer: name)
        var configuration = configuration
        configuration.connectionName = "\(configuration.connectionName) \(name)"
        self.amqp = AMQPConsumer(
            configuration: configuration, topology: topology, queue: queue, prefetch: settings.prefetch,
            eventLoop: eventLoop, logger: logger)
        self.gate = DatabaseGate(consumer: amqp, database: database, logger: logger)
        let inbox = Inbox(service: service, consumer: name, version: messaging.version)
        self.worker = Worker(
            performer: Performer(inbox: inbox, messaging: messaging, database: database), handler: handler,
            lane: lane, metrics: metrics, logger: logger)
        self.attempts = LaneAttempts(inbox: inbox, database: database)
    }

    /// What readiness asks.
    public struct Health: Sendable, Hashable {
        /// The broker has our consumer on the queue.
        public var isAttached = false
        /// It should have: neither paused nor stopped.
        public var isMeant = true
        /// The database answered the last try.
        public var databaseAnswers = true
        /// Producers whose hints are not heard at the moment; their outboxes are polled all the same.
        public var degraded: Set<ServiceName> = []
    }

    public var currentHealth: Health {
        var health = health.value
        health.isAttached = amqp.isAttached
        health.isMeant = amqp.isMeant
        health.databaseAnswers = gate.isOpen
        return health
    }

    public func run() async throws {
        await withTaskExecutorPreference(executor) {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await amqp.run() }
                group.addTask { try? await gate.run() }
                for _ in 0..<settings.workers {
                    group.addTask { await takeFromBroker() }
                }
                for producer in producers {
                    group.addTask { await EmergencyWatcher(consumer: self, producer: producer).run() }
                }
                group.addTask { await runParked() }
                group.addTask { await watchItself() }
            }
        }
    }

    // MARK: - The broker's way

    private func takeFromBroker() async {
        await withDiscardingTaskGroup { strays in
            // What a neighbour kept from us comes first; then what did not fit into the last transaction.
            var kept: [Message] = []
            var waiting: [Message] = []
            while !amqp.isStopped && !Task.isCancelled {
                let room = settings.batch - kept.count - waiting.count
                if room > 0 {
                    // A neighbour's transaction lasts some 20 ms: what it kept is tried with what comes meanwhile. What is
                    // left of a parcel waits for nothing.
                    let patience: Duration =
                        waiting.isEmpty ? (kept.isEmpty ? .seconds(5) : settings.gatherTime) : .zero
                    let deliveries = await amqp.nextBatch(max: room, within: patience)
                    waiting += deliveries.flatMap { Message.messages(of: $0) }
                }
                let fitting = min(waiting.count, max(1, settings.batch - kept.count))
                let batch = kept + waiting.prefix(fitting)
                waiting.removeFirst(fitting)
                kept = []
                guard !batch.isEmpty else { continue }
                let began = ContinuousClock.now
                let fates = await take(batch)
                kept = settle(fates)
                for case (let message, .failed) in fates {
                    // Its next tries must not keep the others waiting.
                    strays.addTask { _ = settle([(message, await seeThrough(message))]) }
                }
                if let flow { await Pause.sleep(flow.rest(after: began.duration(to: .now))) }
            }
            // The others of a parcel that comes again are known to the inbox.
            let parcels = (kept + waiting).compactMap(\.parcel)
            for (_, same) in Dictionary(grouping: parcels, by: ObjectIdentifier.init) {
                amqp.nack(same[0].delivery, requeue: true)
            }
        }
    }

    private func take(_ batch: [Message]) async -> [(Message, Fate)] {
        var together: [Message] = []
        var alone: [Message] = []
        for message in batch {
            if message.isSuspect || message.deferrals >= 3 { alone.append(message) } else { together.append(message) }
        }
        let keys = batch.map(\.key)
        inHand.add(keys)
        defer { inHand.remove(keys) }
        var fates = await handle(together, waits: lane == .emergency)
        for message in alone {
            fates += await handle([message], waits: true)
        }
        return fates
    }

    private func handle(_ messages: [Message], waits: Bool) async -> [(Message, Fate)] {
        guard !messages.isEmpty else { return [] }
        switch lane {
        case .routine:
            return await worker.handle(messages, approach: Approach(waits: waits, eventLocks: .none))
        case .emergency:
            return await handleInLane(messages)
        }
    }

    private func settle(_ fates: [(Message, Fate)]) -> [Message] {
        var done: [AMQPDelivery] = []
        var kept: [Message] = []
        for (message, fate) in fates {
            switch fate {
            case .settled:
                gate.worked()
                if let parcel = message.parcel, parcel.settleOne() { done.append(parcel.delivery) }
            case .deferred:
                var message = message
                message.deferrals += 1
                kept.append(message)
            case .unreachable:
                // Not given back one by one: closing the gate lets go of all of them at once.
                gate.close()
            case .failed: break
            }
        }
        if !done.isEmpty { amqp.ack(done) }
        return kept
    }

    // MARK: - Parked messages

    private func runParked() async {
        await Pause.every(settings.retryPoll) {
            guard gate.isOpen else { return }
            do {
                let rows = try await database.query(worker.performer.inbox.claimDue(limit: 20))
                for row in rows {
                    var message = Message(
                        body: try row.decode("body"), path: .retry, source: try row.decode("source"),
                        id: try row.decode("event_id"), type: try row.decode("type"))
                    let parked = try InboxKey(row: row)
                    // A body that this release can read, though none could when it was parked, is known by its own key.
                    if message.event == nil { message.key = parked }
                    message.recordKey = parked
                    message.isRecorded = true
                    _ = settle(
                        await worker.handle([message], approach: Approach(waits: true, eventLocks: .none)))
                }
            } catch {
                if case .unreachable = Failure(error) { gate.close() }
                logger.warning(
                    "parked messages cannot be looked at", metadata: ["error": "\(Failure.describe(error))"])
            }
        }
    }

    private func watchItself() async {
        await Pause.every(.seconds(1)) { metrics.attached(amqp.isAttached, meant: amqp.isMeant) }
    }
}
