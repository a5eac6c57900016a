import Logging
import Postgres
import ServiceKit
import ServiceLifecycle

/// Asks once, as soon as the database answers, whether it knows the zone of the city's calendar. Without it every figure
/// would fail, so the service ends with the setting's name instead.
struct CalendarCheck: Service {
    let timeZone: String
    let database: PostgresClient
    let logger: Logger
    var pause: Duration = .seconds(1)

    func run() async throws {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            do {
                return try await check()
            } catch let error as PostgresError {
                logger.debug("the time zone cannot be looked up yet", metadata: ["error": "\(error)"])
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: pause) }
        }
    }

    /// Throws `ConfigurationErrors` for a zone that there is none of.
    func check() async throws {
        let answer = try await database.query(CalendarStore.isKnown(timeZone: timeZone))
        guard try answer[0].decode("is_known", as: Bool.self) else {
            throw ConfigurationErrors(items: [
                .init("SLUICE_TIME_ZONE", "must be a time zone by its name, such as Asia/Shanghai")
            ])
        }
    }
}
