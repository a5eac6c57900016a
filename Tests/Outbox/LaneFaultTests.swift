import AMQP
import Foundation
import Model
import Postgres
import Testing

@testable import Outbox

extension ServerTests {
    /// Databases that answer and do not work, and events that keep others waiting.
    @Suite struct LaneFaultTests {
        /// M03: rabbitmq/rabbitmq-server#11937. A full disk still answers a probe; each return counts at the broker.
        @Test func aDatabaseThatAnswersAndDoesNotWorkUsesUpFewReturns() async throws {
            try await withCity { city in
                let tries = Counter()
                let isFull = Mutexed(true)
                let handler = Deciding(
                    schema: "dispatch",
                    fails: { _ in
                        guard isFull.value else { return }
                        _ = tries.next()
                        throw PostgresError(.server, "the disk is full", sqlState: "53100")
                    })
                let consumer = await city.consume(.routine, handler)
                let publisher = await city.publisher()
                _ = await publisher.send(City.report())
                try await eventually("it has been tried often") { tries.count >= 5 }
                try await Task.sleep(for: .seconds(3))
                #expect(tries.count < 12, "each pause is longer than the one before")
                isFull.withLock { $0 = false }
                try await eventually("it is done") { try await city.count("dispatch.effect") == 1 }
                #expect(try await city.count("dispatch.dead_letter") == 0)
                #expect(consumer.gate.isOpen)
            }
        }

        @Test(arguments: [PostgresError(.server, "full", sqlState: "53100"), PostgresError(.timeout, "no connection")])
        func anEmergencyIsNotBlamedForADatabaseThatDoesNotWork(error: PostgresError) async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let tries = Counter()
                let handler = Deciding(schema: "dispatch", fails: { _ in if tries.next() < 6 { throw error } })
                await city.consume(.emergency, handler)
                // So old that each try is put on record.
                try await intake.announce([City.report(.emergency, at: City.sources.now() - .seconds(30))])
                try await eventually("it is done") {
                    #expect(try await city.count("dispatch.lane_attempt", where: "n > 1") == 0)
                    return try await city.count("dispatch.effect") == 1
                }
                #expect(tries.count >= 6)
                #expect(try await city.count("dispatch.dead_letter") == 0)
            }
        }

        /// M02: spring-projects/spring-amqp#673. M05: rabbitmq/rabbitmq-server#14589. With the broker stopped there is
        /// only this way.
        @Test func whatIsUnderWayHidesNothingThatIsNewer() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let slow = (0..<64).map { _ in City.report(.emergency) }
                let handler = Waiting(schema: "dispatch", slow: Set(slow.map(\.id)))
                let consumer = await city.consume(.emergency, handler)
                try await eventually("everything is up") { intake.isConnected && consumer.currentHealth.isAttached }
                try await city.servers.freezeBroker()
                do {
                    try await intake.announce(slow)
                    try await eventually("all of them are under way") {
                        consumer.inHand.events(of: "intake").count == 64
                    }
                    try await intake.announce([City.report(.emergency)])
                    try await eventually("the newer one is done") { try await city.count("dispatch.effect") >= 1 }
                    #expect(try await city.count("dispatch.effect") == 1, "the others are still under way")
                    try await eventually("all are done") { try await city.count("dispatch.effect") == 65 }
                } catch {
                    try city.servers.thawBroker()
                    throw error
                }
                try city.servers.thawBroker()
            }
        }

        /// The broker does not answer the consumer's wish to pause.
        @Test func aBrokerThatIsStoppedDelaysNothingOnceTheDatabaseIsBack() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let consumer = await city.consume(.emergency, Deciding(schema: "dispatch"))
                try await eventually("everything is up") { intake.isConnected && consumer.currentHealth.isAttached }
                try await city.servers.freezeBroker()
                do {
                    // As after a moment without the database.
                    consumer.gate.close()
                    try await eventually("it is back, and the consumer still pauses") {
                        consumer.currentHealth.databaseAnswers && !consumer.currentHealth.isMeant
                    }
                    try await intake.announce([City.report(.emergency)])
                    try await eventually("the emergency is done") { try await city.count("dispatch.effect") == 1 }
                } catch {
                    try city.servers.thawBroker()
                    throw error
                }
                try city.servers.thawBroker()
                try await eventually("the consumer goes on") { consumer.currentHealth.isAttached }
            }
        }

        /// What the broker gave up is not lost: its producer's outbox has it, and that way goes on.
        @Test func anEmergencyThatTheOutboxStillHasIsNoDeadLetter() async throws {
            try await withCity { city in
                let event = City.report(.emergency)
                let bad = await Returner(city, "dispatch.emergency", requeues: false)
                let intake = await Station(city, .intake)
                try await intake.announce([event])
                let publisher = await city.publisher()
                try await eventually("the broker has given it up") {
                    try await publisher.readyCount(queue: "dispatch.dead").count == 1
                }
                await bad.stop()
                let handler = Deciding(
                    schema: "dispatch",
                    fails: { _ in throw PostgresError(.server, "the disk is full", sqlState: "53100") })
                let consumer = await city.consume(.emergency, handler)
                await city.drain([consumer])
                try await eventually("the queue is drained") {
                    try await publisher.readyCount(queue: "dispatch.dead").count == 0
                }
                #expect(try await city.count("dispatch.dead_letter") == 0)
                #expect(try await city.count("dispatch.inbox") == 0)
                #expect(try await city.count("intake.api_emergency_outbox") == 1)
            }
        }
    }
}

/// Deciding, but a look at one of the `slow` takes seconds.
private struct Waiting: DecisionHandler {
    let schema: String
    let slow: Set<EventRecord.ID>

    func plan(_ events: [Event]) throws -> (locks: [AdvisoryLock], look: [SQL], plan: Int) {
        let look: SQL = events.contains { slow.contains($0.id) } ? "SELECT pg_sleep(3)" : "SELECT 1"
        return (events.map { AdvisoryLock.aggregate($0.aggregateID) }, [look], events.count)
    }

    func decide(
        _ events: [Event], plan: Int, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement]) {
        (events.map { "INSERT INTO \(identifier: schema).effect (event_id) VALUES (\($0.id))" }, [])
    }
}
