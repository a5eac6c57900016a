internal import Logging
internal import Model
internal import Postgres

/// Takes batches to their end: performs, tells errors apart, runs again what must be, parks, buries.
struct Worker: Sendable {
    let performer: Performer
    let handler: any EventHandler
    let lane: Lane
    let metrics: ConsumerMetrics
    let logger: Logger

    private var inbox: Inbox { performer.inbox }
    private var database: PostgresClient { performer.database }

    /// Segments of one batch that may be under way at once.
    private static let concurrency = 32

    func handle(_ messages: [Message], approach: Approach) async -> [(Message, Fate)] {
        var fates: [(Message, Fate)] = []
        var good: [Message] = []
        for message in messages {
            if case .poison(let reason) = message.content {
                fates.append((message, await bury(message, reason: reason)))
            } else if let event = message.event, event.canary, dropsCanary(event) {
                fates.append((message, .settled))
            } else {
                good.append(message)
            }
        }
        switch handler.work {
        case .segment(let handler): fates += await handleEach(good, handler)
        case .decision(let handler): fates += await handleTogether(good, handler, approach)
        }
        return fates
    }

    /// A canary's row leaves its outbox after 10 s; one that comes later by the broker would measure nothing any more.
    private func dropsCanary(_ event: Event) -> Bool {
        handler.dropsCanaries || performer.messaging.sources.now() - event.time > .seconds(10)
    }

    // MARK: - Segments

    private func handleEach(_ messages: [Message], _ handler: some SegmentHandler) async -> [(Message, Fate)] {
        await withTaskGroup(of: (Message, Fate).self) { group in
            var fates: [(Message, Fate)] = []
            for (index, message) in messages.enumerated() {
                if index >= Self.concurrency, let fate = await group.next() { fates.append(fate) }
                group.addTask {
                    let fate = await settle(message) { try await performer.perform(handler, message) }
                    return (message, fate)
                }
            }
            for await fate in group { fates.append(fate) }
            return fates
        }
    }

    // MARK: - Decisions

    private func handleTogether(
        _ messages: [Message], _ handler: some DecisionHandler, _ approach: Approach
    ) async -> [(Message, Fate)] {
        guard messages.count > 1 else {
            guard let message = messages.first else { return [] }
            return [(message, await handleAlone(message, handler, approach))]
        }
        do {
            return fates(of: try await performer.perform(handler, messages, approach: approach))
        } catch {
            if case .unreachable = Failure(error) { return messages.map { ($0, .unreachable) } }
            // One of them is at fault, or they were unlucky together: each by itself tells.
            logger.debug(
                "a batch failed", metadata: ["error": "\(Failure.describe(error))", "size": "\(messages.count)"])
            var fates: [(Message, Fate)] = []
            for message in messages {
                if case .unreachable = fates.last?.1 {
                    fates.append((message, .unreachable))
                } else {
                    fates.append((message, await handleAlone(message, handler, approach)))
                }
            }
            return fates
        }
    }

    private func handleAlone(
        _ message: Message, _ handler: some DecisionHandler, _ approach: Approach
    ) async -> Fate {
        await settle(message) { try await performer.perform(handler, [message], approach: approach) }
    }

    // MARK: - One message

    /// Tries one message until its fate is clear. A conflict or an unknown outcome is run again from the start, each
    /// three times at most.
    private func settle(_ message: Message, _ perform: () async throws -> Performed) async -> Fate {
        var conflicts = 0
        var unknowns = 0
        while true {
            do {
                return fates(of: try await perform()).first?.1 ?? .settled
            } catch {
                switch Failure(error) {
                case .poison(let reason): return await bury(message, reason: reason)
                case .unreachable: return .unreachable
                case .unknownOutcome:
                    unknowns += 1
                    if unknowns >= 3 { return .unreachable }
                case .conflict:
                    metrics.conflict()
                    conflicts += 1
                    if conflicts >= 3 { return await failed(message, error) }
                case .passing: return await failed(message, error)
                }
            }
        }
    }

    private func fates(of performed: Performed) -> [(Message, Fate)] {
        for (path, messages) in Dictionary(grouping: performed.new, by: \.path) {
            metrics.handled(messages.count, by: path)
        }
        metrics.duplicates(performed.already.count)
        metrics.deferred(performed.deferred.count)
        return (performed.new + performed.already).map { ($0, .settled) }
            + performed.deferred.map { ($0, .deferred) }
    }

    // MARK: - Failure

    /// Not nonsense, yet it does not work: routine messages are parked, the lane has its own rules.
    private func failed(_ message: Message, _ error: any Error) async -> Fate {
        let reason = Failure.describe(error)
        logger.warning(
            "an event failed",
            metadata: ["type": "\(message.type ?? "unknown")", "event": "\(message.key.eventID)", "error": "\(reason)"])
        guard lane == .routine || message.path == .retry else {
            return .failed(reason: reason, isBlameless: Failure.isBlameless(error))
        }
        do {
            if message.path == .retry {
                _ = try await database.query(inbox.failedAgain(message.recordedAs, failure: reason))
            } else {
                _ = try await database.query(inbox.park(message, failure: reason))
                metrics.parked(1)
            }
            return .settled
        } catch {
            return .unreachable
        }
    }

    /// Inbox row, dead letter and what the handler says about it, in one transaction.
    func bury(_ message: Message, reason: String) async -> Fate {
        var statements = [inbox.bury(message, reason: reason)]
        if let event = message.event { statements += handler.deadLettered(event, reason: reason) }
        if message.isRecorded { statements += inbox.forgetTries(of: [message.recordedAs]) }
        do {
            let answers = try await database.segment(statements)
            guard !answers[0].isEmpty else { return .settled }
            metrics.dead(1)
            logger.error(
                "an event became a dead letter",
                metadata: [
                    "type": "\(message.type ?? "unknown")", "event": "\(message.key.eventID)", "reason": "\(reason)",
                    "district": "\(message.event?.district.description ?? "unknown")",
                ])
            return .settled
        } catch {
            logger.warning("a dead letter cannot be written", metadata: ["error": "\(Failure.describe(error))"])
            return .unreachable
        }
    }
}
