import FoundationEssentials
import Logging
import Model
import Postgres
import ServiceLifecycle
import Testing

@testable import Outbox

extension ServerTests {
    /// Looking for the gaps of the last 80 days.
    @Suite struct NightTests {
        /// Half past two of the last night in UTC+8.
        static var night: Timestamp {
            let day: Int64 = 86_400_000_000
            let today = City.sources.now().microseconds / day * day
            return Timestamp(microseconds: today - day) + .seconds(18 * 3_600 + 1_800)
        }

        /// An event of two nights ago that got lost, and who will miss it.
        private func loseOne(_ city: City) async throws -> Healer {
            let intake = await Station(city, .intake, starts: false)
            try await intake.announce([City.report(at: Self.night - .seconds(36 * 3_600))])
            _ = try await city.sql("DELETE FROM intake.outbox")
            return Healer(service: .intake, database: intake.database)
        }

        @Test func aNightThatFailedIsTriedAgainTheSameNight() async throws {
            try await withCity { city in
                let healer = try await loseOne(city)
                _ = try await city.sql("REVOKE SELECT ON dispatch.api_inbox FROM sluice_service")
                await #expect(throws: PostgresError.self) { try await healer.healNightly(at: Self.night) }
                _ = try await city.sql("GRANT SELECT ON dispatch.api_inbox TO sluice_service")
                try await healer.healNightly(at: Self.night)
                #expect(try await city.count("intake.outbox") == 1)

                // Once done, it is done for this night.
                _ = try await city.sql("DELETE FROM intake.outbox")
                try await healer.healNightly(at: Self.night)
                #expect(try await city.count("intake.outbox") == 0)
            }
        }

        @Test func aNightThatIsAskedToStopStopsAndIsLeftToOthers() async throws {
            try await withCity { city in
                let healer = try await loseOne(city)
                let members = [
                    ServiceGroupConfiguration.ServiceConfiguration(service: Night(healer: healer)),
                    ServiceGroupConfiguration.ServiceConfiguration(
                        service: Stop(), successTerminationBehavior: .gracefullyShutdownGroup),
                ]
                try await ServiceGroup(
                    configuration: ServiceGroupConfiguration(services: members, logger: City.logger)
                ).run()
                #expect(try await city.count("intake.task_lease", where: "task = 'heal night'") == 1, "it had begun")
                #expect(try await city.count("intake.outbox") == 0)
                try await healer.healNightly(at: Self.night)
                #expect(try await city.count("intake.outbox") == 1)
            }
        }
    }
}

/// Begins the night's work when it is asked to stop.
private struct Night: Service {
    let healer: Healer

    func run() async throws {
        try await gracefulShutdown()
        try await healer.healNightly(at: ServerTests.NightTests.night)
    }
}

/// Ends at once, and with it its group.
private struct Stop: Service {
    func run() async throws {}
}
