internal import AMQP
internal import FoundationEssentials
internal import Logging
internal import Model
internal import Postgres
internal import ServiceLifecycle

/// Moves one outbox to the broker: claims (attempt and lease committed before anything is sent), publishes with confirm
/// and `mandatory`, and settles each row by its own outcome under its own lease. Any number of instances may run.
struct Relay: Service, LaneMember {
    enum Table: Sendable {
        case routine(RoutineOutbox)
        case emergency(EmergencyOutbox)
    }

    let table: Table
    let service: ServiceName
    let database: PostgresClient
    let publisher: AMQPPublisher
    let wake: WakeSignal
    let settings: RelaySettings
    /// Nil for the emergency relay: neither pressure nor the depth of queues holds an emergency back.
    let flow: FlowControl?
    let bound: QueueBound?
    let metrics: OutboxMetrics
    let logger: Logger
    let state = Mutexed(State())

    struct State {
        var inFlight = 0
        var firstSends = 0
        var resend = ResendBudget()
        var lastDistrict = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
        var lastAdvance = ContinuousClock.now
        var lastResend = ContinuousClock.now
    }

    var isLane: Bool { if case .emergency = table { true } else { false } }

    func run() async throws {
        await withDiscardingTaskGroup { batches in
            var failures = DoublingPause(first: .milliseconds(50), limit: .seconds(5))
            while !Task.isShuttingDownGracefully && !Task.isCancelled {
                do {
                    let began = ContinuousClock.now
                    let claims = try await claim()
                    failures.reset()
                    for claim in claims {
                        batches.addTask { await send(claim) }
                    }
                    await rest(after: claims, busy: began.duration(to: .now))
                } catch {
                    // The database is away, or slow: nothing is lost, and nothing is hammered.
                    failed(error)
                    await Pause.sleep(failures.next())
                }
            }
            // Batches under way are awaited by the group: each publish ends within its bound.
        }
    }

    private func failed(_ error: any Error) {
        metrics.relayFailed()
        logger.warning("outbox cannot be claimed", metadata: ["error": "\(error)"])
    }

    private func rest(after claims: [Claim], busy: Duration) async {
        switch table {
        case .emergency:
            guard claims.isEmpty else { return }
            await cancelWhenGracefulShutdown { await wake.wait(upTo: settings.emergencyPoll) }
        case .routine:
            if claims.isEmpty {
                await cancelWhenGracefulShutdown { await wake.wait(upTo: settings.routinePoll) }
            }
            // Commits come one by one, and claiming each by itself would cost a flush apiece. A full claim means that
            // more waits; then only the lane decides.
            let isFull = claims.contains { $0.rows.count >= settings.batch }
            await Pause.sleep(max(isFull ? .zero : settings.linger, flow?.rest(after: busy) ?? .zero))
        }
    }

    // MARK: - Claiming

    private struct Claim: Sendable {
        var lease: UUID
        var rows: [OutboxRow]
        var isFirst: Bool
    }

    private func claim() async throws -> [Claim] {
        let (first, again) = allowance()
        guard first > 0 || again > 0 else { return [] }
        var claims: [Claim] = []
        var failure: (any Error)?
        // Neither hangs on the other: what cannot be sent again keeps nothing new waiting, and the other way round.
        for (limit, isFirst) in [(again, false), (first, true)] where limit > 0 {
            do {
                if let claim = try await claim(limit: limit, isFirst: isFirst) { claims.append(claim) }
            } catch {
                failure = error
            }
        }
        if let failure {
            guard !claims.isEmpty else { throw failure }
            failed(failure)
        }
        for claim in claims {
            state.withLock { state in
                state.inFlight += claim.rows.count
                if claim.isFirst {
                    state.firstSends += claim.rows.count
                    state.lastDistrict = claim.rows.map(\.district).max() ?? state.lastDistrict
                } else {
                    state.resend.spend(claim.rows.count)
                }
            }
            if !claim.isFirst { metrics.resent(claim.rows.count) }
        }
        return claims
    }

    /// How many may be claimed now: for the first time, and again. Nothing while the broker cannot take it: a claim that
    /// cannot be sent would only use up leases.
    private func allowance() -> (first: Int, again: Int) {
        guard publisher.state.isConnected, !publisher.state.isBlocked else { return (0, 0) }
        return state.withLock { state in
            let now = ContinuousClock.now
            state.resend.advance(elapsed: state.lastAdvance.duration(to: now), sent: state.firstSends)
            state.lastAdvance = now
            state.firstSends = 0
            // A routine window that opens by crumbs is not worth a claim each; when all is confirmed it is open.
            let open = settings.maxUnconfirmed - state.inFlight
            let free = !isLane && open < settings.batch ? 0 : min(open, bound?.room ?? .max, settings.batch)
            guard now - state.lastResend >= settings.resendPoll else { return (max(0, free), 0) }
            state.lastResend = now
            let again = min(
                state.resend.allowed, settings.maxUnconfirmed - state.inFlight, bound?.room ?? .max, settings.batch)
            return (max(0, free), max(0, again))
        }
    }

    private func claim(limit: Int, isFirst: Bool) async throws -> Claim? {
        let lease = UUID()
        let answer: Rows
        let read: (Row) throws -> OutboxRow
        switch table {
        case .routine(let outbox):
            let after = state.withLock { $0.lastDistrict }
            let statement =
                isFirst
                ? outbox.claimUnsent(limit: limit, after: after, lease: lease, for: settings.routineLease)
                : outbox.claimExpired(limit: limit, lease: lease, for: settings.routineLease)
            answer = try await database.segment([RoutineOutbox.pinnedPlans, statement])[1]
            read = { try OutboxRow(routine: $0, source: service) }
        case .emergency(let outbox):
            let statement =
                isFirst
                ? outbox.claimUnsent(limit: limit, lease: lease, for: settings.emergencyLease)
                : outbox.claimExpired(limit: limit, lease: lease, for: settings.emergencyLease)
            answer = try await database.query(statement)
            read = { try OutboxRow(emergency: $0) }
        }
        var rows: [OutboxRow] = []
        var unreadable: [(UUID, String)] = []
        for row in answer {
            do {
                rows.append(try read(row))
            } catch {
                guard let id = try? row.decode("id", as: UUID.self) else { continue }
                unreadable.append((id, "cannot be read: \(Failure.describe(error))"))
            }
        }
        if !unreadable.isEmpty { await setAside(unreadable, lease: lease) }
        return rows.isEmpty ? nil : Claim(lease: lease, rows: rows, isFirst: isFirst)
    }

    /// A row that cannot be read gets pauses of its own, as one that the broker refuses: the others leave on time.
    private func setAside(_ unreadable: [(UUID, String)], lease: UUID) async {
        metrics.published(confirmed: 0, refused: unreadable.count, unknown: 0)
        logger.error(
            "events cannot be read",
            metadata: ["count": "\(unreadable.count)", "reason": "\(unreadable.first?.1 ?? "")"])
        await write(statements(confirmed: [], unknown: [], refused: unreadable, lease: lease))
    }

    // MARK: - Sending and settling

    private func send(_ claim: Claim) async {
        let publications =
            isLane ? claim.rows.map { Publication(rows: [$0]) } : Publication.together(claim.rows)
        bound?.sent(publications.count)
        let outcomes = await withTaskGroup(of: [(UUID, PublishOutcome)].self) { publishes in
            for publication in publications {
                publishes.addTask {
                    let outcome = await publish(publication)
                    return publication.rows.map { ($0.id, outcome) }
                }
            }
            return await publishes.reduce(into: []) { $0 += $1 }
        }
        state.withLock { $0.inFlight -= claim.rows.count }
        await settle(outcomes, lease: claim.lease)
        // The window is open again.
        wake.wake()
    }

    private func publish(_ publication: Publication) async -> PublishOutcome {
        await publisher.publish(
            exchange: CityTopology.events, routingKey: publication.routingKey,
            properties: publication.properties(from: service), body: publication.body, mandatory: true)
    }

    private func settle(_ outcomes: [(UUID, PublishOutcome)], lease: UUID) async {
        var confirmed: [UUID] = []
        var unknown: [UUID] = []
        var refused: [(UUID, String)] = []
        for (id, outcome) in outcomes {
            switch outcome {
            case .confirmed: confirmed.append(id)
            case .unknown: unknown.append(id)
            case .refused(let reason): refused.append((id, reason))
            }
        }
        metrics.published(confirmed: confirmed.count, refused: refused.count, unknown: unknown.count)
        if let (_, reason) = refused.first {
            logger.error(
                "the broker refuses events", metadata: ["count": "\(refused.count)", "reason": "\(reason)"])
        }
        await write(statements(confirmed: confirmed, unknown: unknown, refused: refused, lease: lease))
    }

    private func write(_ statements: [SQL]) async {
        // If this cannot be written the lease runs out and the rows are sent again: their inbox key makes that harmless.
        for attempt in 0..<3 {
            do {
                _ = try await database.segment(statements)
                return
            } catch {
                logger.warning(
                    "outcomes cannot be written", metadata: ["error": "\(error)", "attempt": "\(attempt + 1)"])
                await Pause.sleep(.milliseconds(50 << (2 * attempt)))
            }
        }
    }

    private func statements(
        confirmed: [UUID], unknown: [UUID], refused: [(UUID, String)], lease: UUID
    ) -> [SQL] {
        let soon = Duration.seconds(1)
        var statements: [SQL] = []
        switch table {
        case .routine(let outbox):
            statements.append(RoutineOutbox.pinnedPlans)
            if !confirmed.isEmpty { statements.append(outbox.confirmed(confirmed, lease: lease)) }
            if !unknown.isEmpty { statements.append(outbox.unknown(unknown, lease: lease, after: soon)) }
            statements += refused.map { outbox.refused($0.0, reason: $0.1, lease: lease) }
        case .emergency(let outbox):
            if !confirmed.isEmpty { statements.append(outbox.confirmed(confirmed, lease: lease)) }
            if !unknown.isEmpty { statements.append(outbox.unknown(unknown, lease: lease, after: soon)) }
            statements += refused.map { outbox.refused($0.0, reason: $0.1, lease: lease) }
        }
        return statements
    }
}
