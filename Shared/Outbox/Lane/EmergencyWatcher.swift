internal import FoundationEssentials
internal import Logging
internal import Model
internal import Postgres
internal import ServiceLifecycle

/// The lane's second way: watches one producer's `api_emergency_outbox` and takes what the inbox lacks. Woken by the
/// producer's hint, and by a poll that alone would do.
struct EmergencyWatcher: Sendable {
    let consumer: Consumer
    let producer: ServiceName
    private let wake = WakeSignal()

    init(consumer: Consumer, producer: ServiceName) {
        self.consumer = consumer
        self.producer = producer
    }

    /// Rows of one look. More are taken with the next, which follows at once.
    private static let limit = 64
    /// Looks whose events may be under way at once; a slow event does not keep the next look waiting.
    private static let concurrency = 4
    /// How often those are looked for that have failed often.
    private static let apartPoll = Duration.seconds(1)

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            if consumer.settings.listens { group.addTask { await listen() } }
            group.addTask { await look() }
            group.addTask { await lookApart() }
        }
    }

    // MARK: - Being called

    private func listen() async {
        await cancelWhenGracefulShutdown {
            for await event in consumer.database.listen([Notifier.channel(of: producer)]) {
                switch event {
                case .listening:
                    consumer.health.update { $0.degraded.remove(producer) }
                    consumer.metrics.listening(true)
                    // What was said before LISTEN took effect is lost: reread.
                    wake.wake()
                case .notification: wake.wake()
                case .degraded(let error):
                    consumer.health.update { $0.degraded.insert(producer) }
                    consumer.metrics.listening(false)
                    consumer.logger.warning(
                        "hints of emergencies are not heard; the outbox is polled",
                        metadata: ["producer": "\(producer.rawValue)", "error": "\(error)"])
                }
            }
        }
    }

    // MARK: - Looking

    private func look() async {
        await withTaskGroup(of: Void.self) { group in
            var underWay = 0
            var poll = consumer.settings.poll
            while !Task.isShuttingDownGracefully && !Task.isCancelled {
                let limit = poll
                await cancelWhenGracefulShutdown { await wake.wait(upTo: limit) }
                if Task.isShuttingDownGracefully { break }
                guard consumer.gate.isOpen else { continue }
                // The broker has the lead; many hints become one look.
                await Pause.sleep(consumer.settings.grace)
                poll = consumer.settings.poll
                do {
                    let messages = try await lacking()
                    guard !messages.isEmpty else { continue }
                    if messages.count == Self.limit { poll = .milliseconds(1) }
                    if underWay == Self.concurrency {
                        await group.next()
                        underWay -= 1
                    }
                    let keys = messages.map(\.key)
                    consumer.inHand.add(keys)
                    underWay += 1
                    group.addTask {
                        await take(messages)
                        consumer.inHand.remove(keys)
                    }
                } catch {
                    cannotRead(error)
                }
            }
        }
    }

    /// Those that have failed often are handled by one instance, one at a time, beside the others.
    private func lookApart() async {
        await Pause.every(Self.apartPoll) {
            guard consumer.gate.isOpen else { return }
            do {
                let messages = try await lacking(apart: true)
                guard !messages.isEmpty, try await consumer.attempts.mayHandleApart() else { return }
                for message in messages where !Task.isShuttingDownGracefully {
                    consumer.inHand.add([message.key])
                    defer { consumer.inHand.remove([message.key]) }
                    guard let count = try await consumer.attempts.begin([message.key])[message.key] else { continue }
                    var message = message
                    message.isRecorded = true
                    close(after: [
                        await consumer.handleRecorded(
                            message, tries: count, approach: Approach(waits: true, eventLocks: .skip))
                    ])
                }
            } catch {
                cannotRead(error)
            }
        }
    }

    private func cannotRead(_ error: any Error) {
        if case .unreachable = Failure(error) { consumer.gate.close() }
        consumer.logger.warning(
            "an emergency outbox cannot be read",
            metadata: ["producer": "\(producer.rawValue)", "error": "\(Failure.describe(error))"])
    }

    /// Rows for us that our inbox lacks, whose back-off is over and which are not on their way in this process, oldest
    /// first. No mark is kept: a late commit shows with the next look.
    /// - Parameter apart: those that have failed often instead of the others.
    private func lacking(apart: Bool = false) async throws -> [Message] {
        let schema = consumer.worker.performer.inbox.schema
        let often: SQL = apart ? "a.n >= \(LaneAttempts.apartFrom)" : "coalesce(a.n, 0) < \(LaneAttempts.apartFrom)"
        let attempts: SQL = apart ? "JOIN" : "LEFT JOIN"
        let rows = try await consumer.database.query(
            """
            SELECT e.event_id, e.type, e.body
            FROM \(identifier: producer.schema).api_emergency_outbox e
            \(attempts) \(identifier: schema).lane_attempt a
                ON a.event_id = e.event_id AND a.consumer = \(consumer.name) AND a.source = \(producer.rawValue)
            WHERE \(consumer.name) = ANY (e.consumers)
              AND NOT EXISTS (
                  SELECT FROM \(identifier: schema).inbox i
                  WHERE i.event_id = e.event_id AND i.consumer = \(consumer.name)
                    AND i.source = \(producer.rawValue))
              AND (a.not_before IS NULL OR a.not_before <= clock_timestamp())
              AND \(often)
              AND e.event_id <> ALL (\(consumer.inHand.events(of: producer.rawValue)))
            ORDER BY e.event_id
            LIMIT \(Self.limit)
            """)
        return try rows.map { row in
            let id: UUID = try row.decode("event_id")
            var message = Message(
                body: Array(try row.decode("body", as: String.self).utf8), path: .outbox, source: producer.rawValue,
                id: id, type: try row.decode("type"))
            message.key = InboxKey(source: producer.rawValue, eventID: id)
            return message
        }
    }

    // MARK: - Taking

    private func take(_ messages: [Message]) async {
        let approach = Approach(waits: true, eventLocks: .skip)
        let young = messages.filter { !consumer.isOld($0) }
        let old = messages.filter { consumer.isOld($0) }
        if !young.isEmpty { close(after: await consumer.worker.handle(young, approach: approach).map(\.1)) }
        if !old.isEmpty { close(after: await takeOld(old, approach)) }
    }

    /// An event older than a second has perhaps failed before, perhaps by killing its process: the try is committed
    /// first.
    private func takeOld(_ messages: [Message], _ approach: Approach) async -> [Fate] {
        guard let begun = try? await consumer.attempts.begin(messages.map(\.key)) else { return [.unreachable] }
        let due = messages.filter { begun[$0.key] != nil }.map { message in
            var message = message
            message.isRecorded = true
            return message
        }
        guard !due.isEmpty else { return [] }
        let fates = await consumer.worker.handle(due, approach: approach)
        for (message, fate) in fates { await consumer.attempts.note(fate, of: message.key) }
        return fates.map(\.1)
    }

    private func close(after fates: [Fate]) {
        for case .unreachable in fates { return consumer.gate.close() }
        for case .settled in fates { return consumer.gate.worked() }
    }
}
