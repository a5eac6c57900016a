internal import AMQP
internal import Logging
internal import Model
internal import Postgres
internal import ServiceLifecycle

/// What must be done again and again, each on a rhythm of its own. Every task may run in every instance.
struct Upkeep: Service {
    let service: ServiceName
    let databases: MessagingDatabases
    let lanePublisher: AMQPPublisher
    let bound: QueueBound
    let healer: Healer
    let logger: Logger

    private var schema: String { service.schema }

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            task(&group, every: .seconds(1), "the outbox cannot be rotated") {
                _ = try await databases.background.query("SELECT \(identifier: schema).rotate_outbox()")
            }
            task(&group, every: .seconds(1), "hung transactions cannot be ended") {
                let ended = try await databases.lane.endHalfSentTransactions()
                if ended > 0 { logger.error("half-sent transactions were ended", metadata: ["count": "\(ended)"]) }
            }
            group.addTask {
                await Pause.every(.seconds(1)) { await bound.refresh() }
            }
            group.addTask {
                await Pause.every(.seconds(10)) {
                    guard lanePublisher.state.isConnected, !lanePublisher.state.isBlocked else { return }
                    do {
                        try await lanePublisher.declareTopology()
                    } catch {
                        logger.error("the topology cannot be declared", metadata: ["error": "\(error)"])
                    }
                }
            }
            task(&group, every: .seconds(60), "gaps cannot be looked for") {
                let report = try await healer.healRecent()
                if report.announcedAgain > 0 {
                    logger.notice("events were announced again", metadata: ["count": "\(report.announcedAgain)"])
                }
            }
            task(&group, every: .seconds(600), "the night's healing failed") { try await healer.healNightly() }
            task(&group, every: .seconds(3600), "partitions cannot be made") {
                let ahead: Int =
                    try await databases.background.query(
                        "SELECT sluice.ensure_month_partitions(\(schema + ".history")::text::regclass)"
                    ).first?.decode(0) ?? 0
                if ahead < 2 {
                    logger.critical("fewer than two months of partitions are ready", metadata: ["months": "\(ahead)"])
                }
            }
            let inbox = InboxPurge(service: service, database: databases.background)
            task(&group, every: .seconds(60), "old inbox rows cannot be purged") { try await inbox.goOn() }
            task(&group, every: .seconds(6 * 3600), "late inbox rows cannot be purged") { try await inbox.beginAgain() }
            task(&group, every: .seconds(10), "tries of what is done cannot be forgotten") { try await forgetTries() }
            if service.runsCanary {
                task(&group, every: .seconds(30), "the canary's rows cannot be purged") { try await purgeCanaries() }
            }
        }
    }

    private func task(
        _ group: inout TaskGroup<Void>, every interval: Duration, _ failure: String,
        _ work: @escaping @Sendable () async throws -> Void
    ) {
        group.addTask {
            // What is not urgent leaves a start to those who are waited for.
            if interval > .seconds(10) { await Pause.sleep(.seconds(5)) }
            var wasWell = true
            await Pause.every(interval) {
                do {
                    try await work()
                    wasWell = true
                } catch {
                    if wasWell {
                        logger.warning("\(failure)", metadata: ["error": "\(Failure.describe(error))"])
                    }
                    wasWell = false
                }
            }
        }
    }

    /// Two minutes of the canary's rounds are kept, to look into one that was slow.
    private func purgeCanaries() async throws {
        _ = try await databases.background.query(
            "SELECT \(identifier: schema).purge_canaries(clock_timestamp() - interval '2 minutes')")
    }

    /// A try of the lane's second way is on record before it begins. If the broker's copy was done meanwhile, perhaps
    /// by another instance, nobody comes back to the record.
    private func forgetTries() async throws {
        _ = try await databases.background.segment([
            RoutineOutbox.pinnedPlans,
            """
            DELETE FROM \(identifier: schema).lane_attempt a
            WHERE EXISTS (
                SELECT FROM \(identifier: schema).inbox i
                WHERE i.event_id = a.event_id AND i.consumer = a.consumer AND i.source = a.source)
            """,
        ])
    }
}

extension ServiceName {
    /// The services that the emergency lane goes through, and so the canary's rounds.
    var runsCanary: Bool {
        switch self {
        case .intake, .dispatch, .notification: true
        case .gisSync, .scoring: false
        }
    }
}
