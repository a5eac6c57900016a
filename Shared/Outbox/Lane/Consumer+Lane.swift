internal import AMQP
internal import FoundationEssentials
internal import Logging
internal import Model
internal import Postgres
internal import ServiceLifecycle

extension Consumer {
    /// Emergencies that the broker brought. One that fails is tried again at once while it is younger than a second;
    /// after that its producer's outbox row is the retry, and the broker's copy is done with.
    func handleInLane(_ messages: [Message]) async -> [(Message, Fate)] {
        let (fresh, recorded) = await split(messages)
        let approach = Approach(waits: true, eventLocks: .wait)
        var fates = fresh.isEmpty ? [] : await worker.handle(fresh, approach: approach)
        for (message, tries) in recorded {
            fates.append((message, await handleRecorded(message, tries: tries, approach: approach)))
        }
        return fates
    }

    /// Those that were tried before and are older than a second are put on record before they are tried again.
    private func split(_ messages: [Message]) async -> ([Message], [(Message, Int)]) {
        let old = messages.filter { $0.parcel?.delivery.redelivered == true && isOld($0) }
        guard !old.isEmpty else { return (messages, []) }
        guard let begun = try? await attempts.begin(old.map(\.key)) else { return (messages, []) }
        var fresh: [Message] = []
        var recorded: [(Message, Int)] = []
        for message in messages {
            guard old.contains(where: { $0.key == message.key }) else {
                fresh.append(message)
                continue
            }
            var message = message
            message.isRecorded = true
            recorded.append((message, begun[message.key] ?? 0))
        }
        return (fresh, recorded)
    }

    func isOld(_ message: Message) -> Bool {
        guard let event = message.event else { return false }
        return worker.performer.messaging.sources.now() - event.time > .seconds(1)
    }

    /// - Parameter tries: counted with this one; 0 if it is not due.
    func handleRecorded(_ message: Message, tries: Int, approach: Approach) async -> Fate {
        guard tries > 0 else { return .failed(reason: "not due", isBlameless: true) }
        if tries > LaneAttempts.last {
            logger.critical(
                "an emergency failed too often and becomes a dead letter",
                metadata: [
                    "event": "\(message.key.eventID)", "type": "\(message.type ?? "unknown")",
                    "district": "\(message.event?.district.description ?? "unknown")",
                    "aggregate": "\(message.event.map { "\($0.aggregateID)" } ?? "unknown")",
                ])
            return await worker.bury(message, reason: "failed \(tries - 1) times")
        }
        let fate = await worker.handle([message], approach: approach).first?.1 ?? .settled
        await attempts.note(fate, of: message.key)
        return fate
    }

    /// Stays with a failed emergency until its fate is clear.
    func seeThrough(_ message: Message) async -> Fate {
        var fate = Fate.failed(reason: "", isBlameless: true)
        var pause = DoublingPause(first: .milliseconds(20), limit: .seconds(5))
        while case .failed = fate {
            if Task.isShuttingDownGracefully || Task.isCancelled || !gate.isOpen { return .unreachable }
            await Pause.sleep(pause.next())
            guard isOld(message) else {
                fate = await again(message)
                continue
            }
            do {
                if try await isInOutbox(message) {
                    // The first try of the watcher is put on record; ours is counted here.
                    logger.notice(
                        "an emergency is left to the outbox's way", metadata: ["event": "\(message.key.eventID)"])
                    return .settled
                }
                let tries = try await attempts.begin([message.key])[message.key] ?? 0
                var recorded = message
                recorded.isRecorded = true
                fate = await handleRecorded(
                    recorded, tries: tries, approach: Approach(waits: true, eventLocks: .wait))
            } catch {
                return .unreachable
            }
        }
        return fate
    }

    private func again(_ message: Message) async -> Fate {
        await worker.handle([message], approach: Approach(waits: true, eventLocks: .wait)).first?.1 ?? .settled
    }

    /// Whether the producer's outbox still has it for us, and we look there.
    func isInOutbox(_ message: Message) async throws -> Bool {
        guard let event = message.event, producers.contains(event.source) else { return false }
        return try await database.query(
            """
            SELECT 1 FROM \(identifier: event.source.schema).api_emergency_outbox e
            WHERE e.event_id = \(message.key.eventID) AND \(name) = ANY (e.consumers)
            """
        ).isEmpty == false
    }
}
