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

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            if consumer.settings.listens { group.addTask { await listen() } }
            group.addTask { await look() }
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
                    if case .unreachable = Failure(error) { consumer.gate.close() }
                    consumer.logger.warning(
                        "an emergency outbox cannot be read",
                        metadata: ["producer": "\(producer.rawValue)", "error": "\(Failure.describe(error))"])
                }
            }
        }
    }

    /// Rows for us that our inbox lacks and whose back-off is over, oldest first. No mark is kept: a late commit shows
    /// with the next look.
    private func lacking() async throws -> [Message] {
        let schema = consumer.worker.performer.inbox.schema
        let rows = try await consumer.database.query(
            """
            SELECT e.event_id, e.type, e.body, coalesce(a.n, 0) AS tries
            FROM \(identifier: producer.schema).api_emergency_outbox e
            LEFT JOIN \(identifier: schema).lane_attempt a
                ON a.event_id = e.event_id AND a.consumer = \(consumer.name) AND a.source = \(producer.rawValue)
            WHERE \(consumer.name) = ANY (e.consumers)
              AND NOT EXISTS (
                  SELECT FROM \(identifier: schema).inbox i
                  WHERE i.event_id = e.event_id AND i.consumer = \(consumer.name)
                    AND i.source = \(producer.rawValue))
              AND (a.not_before IS NULL OR a.not_before <= clock_timestamp())
            ORDER BY e.event_id
            LIMIT \(Self.limit)
            """)
        return try rows.compactMap { row in
            let id: UUID = try row.decode("event_id")
            let key = InboxKey(source: producer.rawValue, eventID: id)
            // Already on its way in this process.
            if consumer.inHand.contains(key) { return nil }
            var message = Message(
                body: Array(try row.decode("body", as: String.self).utf8), path: .outbox, source: producer.rawValue,
                id: id, type: try row.decode("type"))
            message.key = key
            message.tries = try row.decode("tries")
            return message
        }
    }

    // MARK: - Taking

    private func take(_ messages: [Message]) async {
        let approach = Approach(waits: true, eventLocks: .skip)
        let young = messages.filter { !consumer.isOld($0) }
        let old = messages.filter { consumer.isOld($0) }
        var fates: [(Message, Fate)] = []
        if !young.isEmpty { fates += await consumer.worker.handle(young, approach: approach) }
        if !old.isEmpty { fates += await takeOld(old, approach) }
        for case (_, .unreachable) in fates {
            consumer.gate.close()
            return
        }
    }

    /// An event older than a second has perhaps failed before, perhaps by killing its process: the try is committed
    /// first. Those that have failed often are handled apart, one at a time, by one instance.
    private func takeOld(_ messages: [Message], _ approach: Approach) async -> [(Message, Fate)] {
        do {
            let often = messages.filter { $0.tries >= LaneAttempts.apartFrom }
            var fates = try await takeTogether(messages.filter { $0.tries < LaneAttempts.apartFrom }, approach)
            guard !often.isEmpty, try await consumer.attempts.mayHandleApart() else { return fates }
            for var message in often {
                guard let count = try await consumer.attempts.begin([message.key])[message.key] else { continue }
                message.isRecorded = true
                fates.append((message, await consumer.handleRecorded(message, tries: count, approach: approach)))
            }
            return fates
        } catch {
            return messages.map { ($0, .unreachable) }
        }
    }

    private func takeTogether(_ messages: [Message], _ approach: Approach) async throws -> [(Message, Fate)] {
        guard !messages.isEmpty else { return [] }
        let begun = try await consumer.attempts.begin(messages.map(\.key))
        let due = messages.filter { begun[$0.key] != nil }.map { message in
            var message = message
            message.isRecorded = true
            return message
        }
        guard !due.isEmpty else { return [] }
        let fates = await consumer.worker.handle(due, approach: approach)
        for case (let message, .failed(let reason, let isBlameless)) in fates {
            try await consumer.attempts.failed(message.key, reason: reason, isBlameless: isBlameless)
        }
        return fates
    }
}
