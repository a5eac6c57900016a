import AMQP
import Foundation
import Model
import NIOPosix
import Postgres
import Testing

@testable import Outbox

extension ServerTests {
    @Suite struct LaneTests {
        /// The broker is frozen, as with a memory alarm or a lost quorum. M02: spring-projects/spring-amqp#673.
        /// M04: opsmill/infrahub#1632, rabbitmq/rabbitmq-server#249. M05: rabbitmq/rabbitmq-server#14589.
        @Test func anEmergencyReachesItsConsumerOnceThoughTheBrokerIsStopped() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let consumer = await city.consume(.emergency, Deciding(schema: "dispatch"))
                try await eventually("everything is up") { intake.isConnected && consumer.currentHealth.isAttached }
                try await city.servers.freezeBroker()
                do {
                    try await intake.announce((0..<20).map { _ in City.report(.emergency) })
                    try await eventually("all have their effect") { try await city.count("dispatch.effect") == 20 }
                    // Nobody has confirmed them, so they are still in the outbox, but shown to nobody any more.
                    try await eventually("the owner has seen it") {
                        try await city.count("intake.api_emergency_outbox") == 0
                    }
                    #expect(try await city.count("intake.emergency_outbox", where: "confirmed_at IS NULL") == 20)
                } catch {
                    try city.servers.thawBroker()
                    throw error
                }
                try city.servers.thawBroker()
                try await eventually("the broker confirms and the rows go") {
                    try await city.count("intake.emergency_outbox") == 0
                }
                let publisher = await city.publisher()
                try await eventually("the broker's copies are settled") {
                    try await publisher.readyCount(queue: "dispatch.emergency").count == 0
                }
                #expect(try await city.count("dispatch.effect") == 20)
                #expect(try await city.count("dispatch.lane_attempt") == 0)
            }
        }

        @Test func bothWaysTogetherHaveOneEffect() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                for _ in 0..<2 { await city.consume(.emergency, Deciding(schema: "dispatch")) }
                for _ in 0..<20 {
                    try await intake.announce((0..<10).map { _ in City.report(.emergency) })
                    try await Task.sleep(for: .milliseconds(20))
                }
                try await eventually("all are done and gone") {
                    try await city.count("intake.emergency_outbox") == 0
                }
                #expect(try await city.sql("SELECT count(DISTINCT event_id) FROM dispatch.effect") == "200")
                #expect(try await city.count("dispatch.effect") == 200)
                #expect(try await city.count("dispatch.inbox") == 200)
            }
        }

        @Test func segmentsInTheLaneHaveOneEffectToo() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                await city.consume(.emergency, Recording(schema: "dispatch"))
                try await intake.announce((0..<50).map { _ in City.report(.emergency) })
                try await eventually("all are done and gone") {
                    try await city.count("intake.emergency_outbox") == 0
                }
                #expect(try await city.count("dispatch.effect") == 50)
            }
        }

        /// Without any hint. M08: timgit/pg-boss#851, graphile/worker#541. M13: agent-substrate/substrate#920.
        @Test func thePollAloneDelivers() async throws {
            try await withCity { city in
                let line = try await Line.open(to: city.servers.brokerPort)
                defer { line.close() }
                line.set(.cut)
                let intake = await Station(city, .intake, brokerPort: line.port)
                await city.consume(.emergency, Deciding(schema: "dispatch"), brokerPort: line.port) {
                    $0.listens = false
                }
                try await intake.announce([City.report(.emergency)])
                try await eventually("it is done") { try await city.count("dispatch.effect") == 1 }
            }
        }

        /// M08: taskforcesh/bullmq#4729, timgit/pg-boss#851. The poll is too rare to help here.
        @Test func aKilledListenerListensAgainAndRereadsWhatItMissed() async throws {
            try await withCity { city in
                let line = try await Line.open(to: city.servers.brokerPort)
                defer { line.close() }
                line.set(.cut)
                let intake = await Station(city, .intake, brokerPort: line.port)
                await city.consume(.emergency, Deciding(schema: "dispatch"), brokerPort: line.port) {
                    $0.poll = .seconds(3_600)
                }
                try await intake.announce([City.report(.emergency)])
                try await eventually("hints arrive") { try await city.count("dispatch.effect") == 1 }
                let killed = try await city.sql(
                    """
                    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = 'sluice_dispatch_bg'
                      AND query LIKE 'LISTEN%' OR query = 'SELECT 1' AND datname = current_database()
                    """)
                #expect(Int(killed) ?? 0 >= 1)
                try await intake.announce([City.report(.emergency)])
                try await eventually("the missed one is done") { try await city.count("dispatch.effect") == 2 }
                try await Task.sleep(for: .seconds(1))
                try await intake.announce([City.report(.emergency)])
                try await eventually("hints arrive again") { try await city.count("dispatch.effect") == 3 }
            }
        }

        @Test func oneThatFailsIsCountedDoesNotDelayOthersAndIsBuriedInTheEnd() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let bad = City.report(.emergency)
                let handler = Deciding(
                    schema: "dispatch", fails: { if $0.id == bad.id { throw StageFailure("always") } })
                await city.consume(.emergency, handler)
                try await intake.announce([bad])
                try await eventually("its tries are on record") {
                    try await city.count("dispatch.lane_attempt", where: "n >= 3") == 1
                }
                try await intake.announce((0..<20).map { _ in City.report(.emergency) })
                try await eventually("the others are done") { try await city.count("dispatch.effect") == 20 }
                #expect(try await city.count("dispatch.retry") == 0)
                // As if it had failed nineteen times more; waiting for that takes a minute.
                _ = try await city.sql("UPDATE dispatch.lane_attempt SET n = 20, not_before = now()")
                try await eventually("it is a dead letter") {
                    try await city.count("dispatch.dead_letter", where: "reason LIKE 'failed % times'") == 1
                }
                try await eventually("nothing is left of it") {
                    try await city.count("intake.emergency_outbox") == 0
                }
                #expect(try await city.count("dispatch.lane_attempt") == 0)
                #expect(try await city.count("dispatch.effect") == 20)
            }
        }

        @Test func aFailureThatIsNotItsFaultIsTakenBack() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let tries = Counter()
                let handler = Deciding(
                    schema: "dispatch",
                    fails: { _ in
                        if tries.next() < 12 { throw PostgresError(.server, "cancelled", sqlState: "57014") }
                    })
                await city.consume(.emergency, handler)
                try await intake.announce([City.report(.emergency)])
                try await eventually("it has failed often") { tries.count > 10 }
                #expect(try await city.count("dispatch.lane_attempt", where: "n > 1") == 0)
                try await eventually("it is done") { try await city.count("dispatch.effect") == 1 }
                #expect(try await city.count("dispatch.dead_letter") == 0)
            }
        }

        @Test func nonsenseInTheLaneIsBuriedByEitherWay() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let handler = Deciding(schema: "dispatch", fails: { _ in throw Poison("never") })
                await city.consume(.emergency, handler)
                try await intake.announce([City.report(.emergency), City.report(.emergency)])
                try await eventually("both are dead") { try await city.count("dispatch.dead_letter") == 2 }
                try await eventually("the outbox is empty") {
                    try await city.count("intake.emergency_outbox") == 0
                }
            }
        }
    }
}
