internal import Logging
internal import Model
internal import Postgres
internal import ServiceLifecycle

/// Sends the hint "there are emergencies" after the COMMIT that it speaks of: a transaction of its own that waits for no
/// flush, at most one each 2 ms, always the same tiny payload. A hint that fails is lost; the poll makes up for it.
struct Notifier: Service, LaneMember {
    let service: ServiceName
    let database: PostgresClient
    let wake: WakeSignal
    let logger: Logger

    static func channel(of service: ServiceName) -> String { "\(service.schema)_emergency" }

    var isLane: Bool { true }

    func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            await cancelWhenGracefulShutdown { await wake.wait(upTo: .seconds(60)) }
            guard !Task.isShuttingDownGracefully else { return }
            do {
                _ = try await database.segment([
                    "SELECT set_config('synchronous_commit', 'off', true)",
                    "SELECT pg_notify(\(Self.channel(of: service)), '')",
                ])
            } catch {
                logger.debug("a hint was lost", metadata: ["error": "\(Failure.describe(error))"])
            }
            await Pause.sleep(.milliseconds(2))
        }
    }
}
