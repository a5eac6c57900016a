import FoundationEssentials
import Logging
import Metrics
import Model
import Outbox
import Postgres
import Rules
import ServiceLifecycle

/// Sends what is due in one lane: claim (committed before anything goes out, with the first attempt's time and its
/// announcement), send outside any transaction, record under the lease. A stop claims nothing more and lets what is under
/// way end; what has to be cut off is given back at once, for another instance to send.
struct Sender: Service {
    let lane: Lane
    let database: PostgresClient
    let messaging: Messaging
    let announcer: NoticeAnnouncer
    let bell: SendBell
    let channels: Channels
    let publicURL: String
    /// Where outcomes are recorded, which must not depend on a task that may be cancelled.
    let executor: (any TaskExecutor)?
    let logger: Logger
    /// Without a ring, how long until the table is looked at again.
    var pause: Duration = .milliseconds(250)
    /// What is under way, so that receivers that hang hold up nobody else.
    let underWay = UnderWay()
    /// Longer than any one attempt may take.
    var leaseSeconds = 60

    func run() async throws {
        await withDiscardingTaskGroup { group in
            while !Task.isShuttingDownGracefully, !Task.isCancelled {
                let claimed = await claim(room: underWay.room)
                for delivery in claimed {
                    underWay.begin(kind: delivery.kind, channel: delivery.channel)
                    group.addTask {
                        await attempt(delivery)
                        if underWay.end(kind: delivery.kind, channel: delivery.channel) { bell.ring(lane) }
                    }
                }
                if claimed.isEmpty { await cancelWhenGracefulShutdown { await bell.wait(for: lane, atMost: pause) } }
            }
        }
    }

    // MARK: Claiming

    private struct Claimed: Sendable {
        var id: UUID
        var attempt: Int
        var lease: UUID
        var kind: ChannelKind
        var channel: UUID
        var address: [UInt8]
        var secrets: [[UInt8]]
        var language: String
        /// Nobody is written to who has gone off duty, nor by a channel that was switched off, even if the notice was made a
        /// moment before. Nil: it goes out.
        var reasonToKeep: String?
        var reason: String
        var link: Link?
        var notice: NoticeRecord
        var snapshot: CaseSnapshot

        init(_ row: Row, lease: UUID) throws {
            id = try row.decode("delivery_id")
            attempt = try row.decode("attempt")
            self.lease = lease
            kind = try row.decode("kind")
            channel = try row.decode("channel_id")
            address = try row.decode("address")
            secrets = [
                try row.decode("secret", as: [UInt8]?.self), try row.decode("previous_secret", as: [UInt8]?.self),
            ].compactMap(\.self)
            language = try row.decode("language")
            if try !row.decode("on_duty", as: Bool.self) {
                reasonToKeep = "the recipient is not on duty any more"
            } else if try !row.decode("switched_on", as: Bool.self) {
                reasonToKeep = "the channel is switched off"
            }
            reason = try row.decode("reason")
            notice = try NoticeRecord(row)
            snapshot = try JSONB(row.decode("snapshot", as: String.self)).decode()
            if let kid = try row.decode("kid", as: String?.self), let recipient = notice.recipient {
                link = Link(
                    kid: kid, notice: notice.id, recipient: recipient, expiresAt: try row.decode("link_expires_at"))
            }
        }
    }

    private func claim(room: UnderWay.Room) async -> [Claimed] {
        guard room.limit > 0 else { return [] }
        let lease = messaging.sources.randomUUID(messaging.sources.now())
        do {
            let (claimed, announcements): ([Claimed], [Announcement]) = try await database.transaction { transaction in
                let rows = try await transaction.query(
                    DeliveryStore.claim(
                        emergency: lane == .emergency, lease: lease, seconds: leaseSeconds, room: room))
                let claimed = try rows.map { try Claimed($0, lease: lease) }
                // The moment before the socket is written to.
                let now = messaging.sources.now()
                var seen: Set<Notice.ID> = []
                var announcements: [Announcement] = []
                for delivery in claimed where delivery.notice.firstAttemptAt == nil && delivery.reasonToKeep == nil {
                    guard seen.insert(delivery.notice.id).inserted else { continue }
                    var notice = delivery.notice
                    notice.firstAttemptAt = now
                    notice.version += 1
                    if notice.state == .pending { notice.state = .attempted }
                    announcements.append(
                        try announcer.announce(.noticeAttempted, notice.snapshot(), actor: "system"))
                }
                let firsts = seen.map(\.rawValue).sorted()
                try await transaction.commit(
                    (firsts.isEmpty ? [] : [DeliveryStore.firstAttempt(firsts, at: now)])
                        + messaging.announce(announcements))
                return (claimed, announcements)
            }
            messaging.committed(announcements)
            return claimed
        } catch {
            // Whatever was claimed comes back when its lease ends.
            if !(error is CancellationError) {
                logger.warning("deliveries could not be claimed", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .milliseconds(200))
            }
            return []
        }
    }

    // MARK: Sending

    private func attempt(_ delivery: Claimed) async {
        let started = messaging.sources.now()
        let outcome: SendOutcome
        do {
            if let reason = delivery.reasonToKeep {
                outcome = .refused(detail: reason, retryAfter: nil, isFinal: true)
            } else {
                outcome = await channels.send(
                    try await message(delivery), kind: delivery.kind, address: delivery.address,
                    secrets: delivery.secrets, now: started)
            }
        } catch {
            outcome = .notSent(detail: "the message could not be made: \(type(of: error))")
        }
        Counter(
            label: "sluice_delivery_attempts_total",
            dimensions: [("kind", delivery.kind.rawValue), ("outcome", outcome.word), ("lane", lane.rawValue)]
        ).increment()
        let wasCutOff = Task.isCancelled
        await Task(executorPreference: executor) {
            await record(delivery, outcome, started: started, wasCutOff: wasCutOff)
        }.value
    }

    private func message(_ delivery: Claimed) async throws -> Message {
        let facts = try await database.query(
            DeliveryStore.facts(delivery.notice.caseID, district: delivery.notice.district)
        ).first.map(MessageText.Facts.init)
        let text = MessageText(
            language: delivery.language, purpose: delivery.notice.purpose, reason: delivery.reason,
            snapshot: delivery.snapshot, facts: facts ?? .init(),
            link: delivery.link.map { "\(publicURL)/a/\($0.kid)#\(channels.keys.token($0))" })
        return Message(
            id: delivery.id, createdAt: delivery.notice.createdAt, subject: text.subject, text: text.text,
            payload: try text.payload(delivery.notice))
    }

    private func record(
        _ delivery: Claimed, _ outcome: SendOutcome, started: Timestamp, wasCutOff: Bool
    ) async {
        var statements = [
            DeliveryStore.log(
                delivery.id, district: delivery.notice.district, attempt: delivery.attempt, started: started,
                ended: messaging.sources.now(), outcome: outcome.word, detail: outcome.detail)
        ]
        let fraction = Double(messaging.sources.randomBytes(1).first ?? 128) / 255
        let pause: Duration? =
            switch outcome {
            case .delivered: nil
            case .refused(_, _, isFinal: true): nil
            case .refused(_, let retryAfter, isFinal: false):
                DeliveryRetry.pause(afterAttempt: delivery.attempt, fraction: fraction, retryAfter: retryAfter)
            // Another instance has it now.
            case .unknown where wasCutOff, .notSent where wasCutOff: .zero
            case .unknown, .notSent: DeliveryRetry.pause(afterAttempt: delivery.attempt, fraction: fraction)
            }
        if case .delivered = outcome {
            statements += DeliveryStore.delivered(delivery.id, lease: delivery.lease, notice: delivery.notice.id)
        } else if let pause {
            statements.append(DeliveryStore.again(delivery.id, lease: delivery.lease, pause: pause))
        } else {
            statements += DeliveryStore.failed(delivery.id, lease: delivery.lease, notice: delivery.notice.id)
            Counter(label: "sluice_deliveries_failed_total", dimensions: [("kind", delivery.kind.rawValue)]).increment()
            logger.error(
                "a delivery is given up",
                metadata: ["delivery": "\(Identifier<Message>(delivery.id))", "outcome": "\(outcome.detail)"])
        }
        do {
            _ = try await database.segment(statements)
        } catch {
            // The lease ends and it is sent again under the same id.
            logger.warning("a delivery's outcome could not be recorded", metadata: ["error": "\(error)"])
        }
    }
}

/// The ways out of the house.
struct Channels: Sendable {
    let keys: NotificationKeys
    let webhook: Webhook
    let mail: SMTP

    func send(
        _ message: Message, kind: ChannelKind, address: [UInt8], secrets: [[UInt8]], now: Timestamp
    ) async -> SendOutcome {
        do {
            switch kind {
            case .webhook:
                return await webhook.send(
                    message, to: try keys.open(address), secrets: try secrets.map(keys.open), now: now)
            case .mail: return await mail.send(message, to: try keys.open(address), now: now)
            case .sink: return .delivered(detail: "sink")
            }
        } catch {
            return .refused(
                detail: "the channel's address cannot be opened with this key", retryAfter: nil, isFinal: true)
        }
    }
}
