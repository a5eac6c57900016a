import AMQP
import FoundationEssentials
import Model
import Postgres
import Testing

@testable import Outbox

extension ServerTests {
    /// Sending and announcing again while a consumer is away.
    @Suite struct AnnouncingAgainTests {
        /// Each in a district of its own, so that each is a message of its own.
        static func scattered(_ count: Int) -> [Event] {
            (0..<count).map { _ in City.report(district: District.ID(UUID())) }
        }

        @Test func whatMerelyWaitsInAQueueIsNotAnnouncedAgain() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let publisher = await city.publisher()
                let bound = QueueBound(publisher: publisher, queues: ["dispatch.routine"], maximum: 5_000)
                func ready() async throws -> Int { try await publisher.readyCount(queue: "dispatch.routine").count }
                try await intake.announce(Self.scattered(100))
                try await eventually("all wait in the queue") { try await ready() == 100 }

                let healer = Healer(service: .intake, database: intake.database, bound: bound)
                let now = City.sources.now()
                let span = now - .seconds(600)..<now + .seconds(60)
                for _ in 0..<5 {
                    try await eventually("the outbox is empty") { try await city.count("intake.outbox") == 0 }
                    await bound.refresh()
                    let report = try await healer.reconcile(span, announcing: true)
                    #expect(report.missing.count == 100)
                    #expect(report.announcedAgain == 0)
                }
                try await eventually("the outbox is still empty") { try await city.count("intake.outbox") == 0 }
                #expect(try await ready() == 100)

                // Emptied, the queue holds nothing that could be waited for.
                let thief = await Listener(city, "dispatch.routine")
                try await eventually("all are lost") { thief.ids.count == 100 }
                try await eventually("a look shows it") {
                    await bound.refresh()
                    return !bound.isWaiting(in: "dispatch.routine")
                }
                #expect(try await healer.reconcile(span, announcing: true).announcedAgain == 100)
            }
        }

        @Test func whatIsSentAgainWaitsForRoomInTheQueueToo() async throws {
            try await withCity { city in
                var settings = RelaySettings()
                settings.maxReady = 10
                let intake = await Station(city, .intake, settings: settings, starts: false)
                try await intake.announce(Self.scattered(50))
                _ = try await city.sql(
                    "UPDATE intake.outbox SET attempt = 1, lease_until = now() - interval '1 second'")
                let publisher = await city.publisher()
                for service in intake.services.services { await city.group.start(service) }
                try await eventually("the queue is filled to its bound") {
                    try await publisher.readyCount(queue: "dispatch.routine").count >= 10
                }
                // Some looks at the queue later; without the bound all are there after the first.
                try await Task.sleep(for: .seconds(3))
                // A look may have come just before what was being sent.
                #expect(try await publisher.readyCount(queue: "dispatch.routine").count <= 30)
                #expect(try await city.count("intake.outbox") >= 20)

                let queue = await Listener(city, "dispatch.routine")
                try await eventually("with room, all arrive") { queue.ids.count == 50 }
            }
        }
    }
}
