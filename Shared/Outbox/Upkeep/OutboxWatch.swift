internal import Logging
internal import Metrics
internal import Model
internal import Postgres
internal import ServiceLifecycle

/// Looks at the outbox every five seconds and makes the numbers of what it sees.
final class OutboxWatch: Service {
    private let service: ServiceName
    private let database: PostgresClient
    private let logger: Logger
    private let state = Mutexed<OutboxState?>(nil)

    init(service: ServiceName, database: PostgresClient, logger: Logger) {
        self.service = service
        self.database = database
        self.logger = logger
    }

    var latest: OutboxState? { state.value }

    func run() async throws {
        await Pause.every(.seconds(5)) {
            guard let state = try? await OutboxState.look(at: service, in: database) else { return }
            self.state.update { $0 = state }
            record(state)
        }
    }

    private func record(_ state: OutboxState) {
        func gauge(_ name: String, _ value: Double, _ labels: [(String, String)] = []) {
            Gauge(label: name, dimensions: [("service", service.rawValue)] + labels).record(value)
        }
        gauge("sluice_outbox_depth", Double(state.depth), [("lane", "r")])
        gauge("sluice_outbox_depth", Double(state.emergenciesUnconfirmed), [("lane", "e")])
        gauge("sluice_outbox_age_seconds", state.oldest, [("lane", "r")])
        gauge("sluice_outbox_age_seconds", state.oldestLacking, [("lane", "e")])
        gauge("sluice_outbox_refused", Double(state.refused))
        gauge("sluice_retry_parked", Double(state.parked))
        gauge("sluice_dead_letters", Double(state.dead))
        gauge("sluice_database_hint_queue", state.hintQueue)
        if state.hintQueue > 0.1 {
            logger.error(
                "the database keeps notifications for a session that does not read them",
                metadata: ["full": "\(state.hintQueue)"])
        }
        if state.refused > 0 {
            logger.error(
                "events cannot be sent; they are tried again with growing pauses",
                metadata: ["count": "\(state.refused)", "reason": "\(state.lastRefusal ?? "unknown")"])
        }
    }
}
