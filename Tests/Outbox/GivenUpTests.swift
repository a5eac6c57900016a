import AMQP
import Model
import NIOPosix
import Postgres
import ServiceLifecycle
import Testing

@testable import Outbox

extension City {
    /// Drains what the broker gave up of these consumers, until the test ends.
    func drain(_ consumers: [Consumer] = [], service: ServiceName = .dispatch) async {
        await group.start(
            DeadLetterDrain(
                of: consumers, service: service, database: await client(service, reactor: 1),
                configuration: servers.broker(virtualHost), eventLoop: Self.loops.next(), logger: Self.logger))
    }
}

extension ServerTests {
    /// What falls through the consumers into the broker's own net.
    @Suite struct GivenUpTests {
        /// M03: rabbitmq/rabbitmq-server#11937.
        @Test func aMessageThatWasReturnedAThousandTimesIsOneDeadLetter() async throws {
            try await withCity { city in
                let publisher = await city.publisher()
                let event = City.report()
                let bad = await Returner(city, "dispatch.routine", requeues: true)
                for _ in 0..<2 { _ = await publisher.send(event) }
                for queue in ["dispatch.dead", "notification.dead"] {
                    try await eventually("\(queue) has both copies") {
                        try await publisher.readyCount(queue: queue).count == 2
                    }
                }
                #expect(bad.deliveries == 2 * 1_001, "the policy's limit is in force")
                await bad.stop()

                let consumer = await city.consume(.routine, Deciding(schema: "dispatch"))
                await city.drain([consumer])
                await city.drain(service: .notification)
                for queue in ["dispatch.dead", "notification.dead"] {
                    try await eventually("\(queue) is drained") {
                        try await publisher.readyCount(queue: queue).count == 0
                    }
                }
                let letters = DeadLetters(service: .dispatch, database: await city.client(.dispatch))
                try await eventually("it is a dead letter") { try await letters.list().count == 1 }
                let letter = try #require(try await letters.list().first)
                #expect(letter.consumer == "dispatch.routine")
                #expect(letter.eventID == event.id.rawValue)
                #expect(letter.district == event.district)
                #expect(letter.body == event.structuredJSON())
                #expect(letter.reason == "the broker gave it up: delivery_limit")
                #expect(try await city.count("dispatch.inbox") == 1)
                #expect(try await city.count("notification.dead_letter") == 0, "it was dispatch's")

                #expect(try await letters.retry(letter.id))
                try await eventually("retried by a person, it is done") {
                    try await city.count("dispatch.effect") == 1
                }
                #expect(try await city.count("dispatch.dead_letter") == 0)
            }
        }

        @Test func whatWasDoneMeanwhileIsNoDeadLetter() async throws {
            try await withCity { city in
                let publisher = await city.publisher()
                let event = City.report(.emergency)
                let bad = await Returner(city, "dispatch.emergency", requeues: false)
                _ = await publisher.send(event)
                try await eventually("the broker has given it up") {
                    try await publisher.readyCount(queue: "dispatch.dead").count == 1
                }
                await bad.stop()
                let consumer = await city.consume(.emergency, Deciding(schema: "dispatch"))
                // Its other way, or a second copy.
                _ = await publisher.send(event)
                try await eventually("it is done") { try await city.count("dispatch.effect") == 1 }
                await city.drain([consumer])
                try await eventually("the queue is drained") {
                    try await publisher.readyCount(queue: "dispatch.dead").count == 0
                }
                #expect(try await city.count("dispatch.dead_letter") == 0)
                #expect(try await city.count("dispatch.inbox") == 1)
            }
        }

        /// M23: rabbitmq/rabbitmq-server#8495. The broker holds what it gave up until there is a queue for it.
        @Test func nothingIsLostWhileTheQueueOfTheDeadIsMissing() async throws {
            try await withCity { city in
                let whole = CityTopology.topology
                let without = Topology(
                    exchanges: whole.exchanges, queues: whole.queues.filter { !$0.name.hasSuffix(".dead") },
                    bindings: whole.bindings.filter { $0.exchange != CityTopology.dead })
                let publisher = await city.publisher(without)
                let bad = await Returner(city, "dispatch.routine", requeues: false, topology: without)
                let events = (0..<100).map { _ in City.report() }
                for event in events { #expect(await publisher.send(event) == .confirmed) }
                try await eventually("all are given up") { bad.deliveries == 100 }
                await bad.stop()

                let consumer = await city.consume(.routine, Deciding(schema: "dispatch"))
                await city.drain([consumer])
                try await eventually("all are dead letters") {
                    try await city.count(
                        "dispatch.dead_letter", where: "reason = 'the broker gave it up: rejected'") == 100
                }
                #expect(try await city.sql("SELECT count(DISTINCT event_id) FROM dispatch.dead_letter") == "100")
            }
        }

        @Test func anOutageOfTheDatabaseKeepsThemInTheQueue() async throws {
            try await withCity { city in
                let line = try await Line.open(to: city.servers.databasePort)
                defer { line.close() }
                let publisher = await city.publisher()
                let bad = await Returner(city, "dispatch.routine", requeues: false)
                for _ in 0..<50 { _ = await publisher.send(City.report()) }
                try await eventually("all are given up") {
                    try await publisher.readyCount(queue: "dispatch.dead").count == 50
                }
                await bad.stop()
                line.set(.cut)
                let consumer = await city.consume(.routine, Deciding(schema: "dispatch"), databasePort: line.port)
                await city.drain([consumer])
                line.set(.whole)
                try await eventually("all are dead letters") { try await city.count("dispatch.dead_letter") == 50 }
                try await eventually("the queue is empty") {
                    try await publisher.readyCount(queue: "dispatch.dead").count == 0
                }
            }
        }
    }
}

/// A consumer that can keep nothing: gives every message back, or up.
final class Returner: Sendable {
    private let consumer: AMQPConsumer
    private let count = Mutexed(0)

    var deliveries: Int { count.value }

    init(_ city: City, _ queue: String, requeues: Bool, topology: Topology = CityTopology.topology) async {
        let consumer = AMQPConsumer(
            configuration: city.servers.broker(city.virtualHost), topology: topology, queue: queue, prefetch: 100,
            eventLoop: City.loops.next(), logger: City.logger)
        self.consumer = consumer
        await city.group.start(consumer)
        await city.group.start(Loop(returner: self, requeues: requeues))
        _ = await consumer.waitUntilAttached(within: .seconds(30))
    }

    func stop() async { await consumer.pause() }

    private struct Loop: Service {
        let returner: Returner
        let requeues: Bool

        func run() async throws {
            while !returner.consumer.isStopped && !Task.isCancelled {
                for delivery in await returner.consumer.nextBatch(max: 100, within: .seconds(1)) {
                    returner.count.update { $0 += 1 }
                    returner.consumer.nack(delivery, requeue: requeues)
                }
            }
        }
    }
}
