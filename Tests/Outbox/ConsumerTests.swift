import AMQP
import Foundation
import Model
import NIOPosix
import Postgres
import Testing

@testable import Outbox

extension City {
    /// A consumer of dispatch's that runs until the test ends.
    @discardableResult
    func consume(
        _ lane: Lane = .routine, _ handler: any EventHandler, brokerPort: Int? = nil, databasePort: Int? = nil,
        producers: [ServiceName] = [.intake], change: (inout ConsumerSettings) -> Void = { _ in }
    ) async -> Consumer {
        var settings = lane == .emergency ? ConsumerSettings.emergency : .routine
        settings.retryPoll = .milliseconds(100)
        change(&settings)
        let consumer = Consumer(
            queue: CityTopology.queue(.dispatch, lane), lane: lane, service: .dispatch, handler: handler,
            producers: producers, messaging: Messaging(service: .dispatch, sources: Self.sources, version: "test"),
            database: await client(.dispatch, port: databasePort, reactor: 1),
            configuration: servers.broker(virtualHost, port: brokerPort), eventLoop: Self.loops.next(),
            settings: settings, logger: Self.logger)
        await group.start(consumer)
        return consumer
    }

    /// A publisher that speaks for anybody.
    func publisher(_ topology: Topology = CityTopology.topology) async -> AMQPPublisher {
        let publisher = AMQPPublisher(
            configuration: servers.broker(virtualHost), topology: topology, eventLoop: Self.loops.next(),
            logger: Self.logger)
        await group.start(publisher)
        _ = await publisher.waitUntilConnected(within: .seconds(30))
        return publisher
    }
}

extension AMQPPublisher {
    func send(_ event: Event) async -> PublishOutcome {
        await publish(
            exchange: CityTopology.events, routingKey: event.routingKey,
            properties: MessageProperties(
                contentType: Event.contentType, messageID: event.id.description, appID: event.source.rawValue,
                type: event.type.rawValue),
            body: event.structuredJSON())
    }
}

extension ServerTests {
    @Suite struct ConsumerTests {
        /// M19: JasperFx/wolverine#1677, apache/couchdb#3569. Two instances, each message three times.
        @Test(arguments: [true, false]) func aRepeatedMessageHasOneEffect(asDecision: Bool) async throws {
            try await withCity { city in
                let handler: any EventHandler =
                    asDecision ? Deciding(schema: "dispatch") : Recording(schema: "dispatch")
                for _ in 0..<2 { await city.consume(.routine, handler) }
                let publisher = await city.publisher()
                let events = (0..<100).map { _ in City.report() }
                for event in events + events + events.reversed() {
                    #expect(await publisher.send(event) == .confirmed)
                }
                try await eventually("the queue is empty") {
                    try await publisher.readyCount(queue: "dispatch.routine").count == 0
                }
                try await eventually("each has its effect") { try await city.count("dispatch.effect") >= 100 }
                #expect(try await city.count("dispatch.inbox") == 100)
                #expect(try await city.sql("SELECT count(DISTINCT event_id) FROM dispatch.effect") == "100")
                #expect(try await city.count("dispatch.effect") == 100)
            }
        }

        /// Old ones, and all of them if the handler has no use for them: no inbox row, no effect, and off the queue.
        @Test(arguments: [true, false]) func canariesThatMeasureNothingAreDroppedUnread(unwanted: Bool) async throws {
            try await withCity { city in
                var handler = Recording(schema: "dispatch")
                handler.dropsCanaries = unwanted
                await city.consume(.routine, handler)
                let publisher = await city.publisher()
                var old = City.report(at: City.sources.now() - .seconds(11))
                var young = City.report()
                old.canary = true
                young.canary = true
                for event in [old, young, City.report()] { _ = await publisher.send(event) }
                try await eventually("the others are done") {
                    try await city.count("dispatch.effect") == (unwanted ? 1 : 2)
                }
                try await eventually("the queue is empty") {
                    try await publisher.readyCount(queue: "dispatch.routine").count == 0
                }
                #expect(try await city.count("dispatch.inbox") == (unwanted ? 1 : 2))
                #expect(try await city.count("dispatch.dead_letter") == 0)
            }
        }

        @Test func oneBadEventOfABatchHarmsNoneOfTheOthers() async throws {
            try await withCity { city in
                await city.consume(.routine, Deciding(schema: "dispatch")) { $0.batch = 3 }
                let publisher = await city.publisher()
                let events = (0..<10).map { _ in City.report() }
                let texts = events.map { $0.structuredJSON() } + [Array(#"{"specversion":"1.0"}"#.utf8)]
                func send(_ body: [UInt8]) async -> PublishOutcome {
                    await publisher.publish(
                        exchange: CityTopology.events, routingKey: events[0].routingKey,
                        properties: MessageProperties(
                            contentType: EventBatch.contentType, appID: "intake", type: "report.received.v1"),
                        body: body)
                }
                #expect(await send(EventBatch.join(texts)) == .confirmed)
                // The same batch again, and two that cannot be taken apart.
                #expect(await send(EventBatch.join(texts)) == .confirmed)
                #expect(await send(Array("[{}".utf8)) == .confirmed)
                #expect(await send(Array("[]".utf8)) == .confirmed)
                try await eventually("all are done") { try await city.count("dispatch.inbox") == 13 }
                try await eventually("the queue is empty, and stays it") {
                    try await publisher.readyCount(queue: "dispatch.routine").count == 0
                }
                #expect(try await city.count("dispatch.effect") == 10)
                #expect(try await city.count("dispatch.dead_letter") == 3)
            }
        }

        @Test func nonsenseBecomesDeadLettersAndTheConsumerLivesOn() async throws {
            try await withCity { city in
                let consumer = await city.consume(.routine, Recording(schema: "dispatch"))
                let publisher = await city.publisher()
                func raw(_ body: String, id: String?, source: String?) async {
                    _ = await publisher.publish(
                        exchange: CityTopology.events, routingKey: "r.city.report.received.v1",
                        properties: MessageProperties(messageID: id, appID: source, type: "report.received.v1"),
                        body: Array(body.utf8))
                }
                await raw("not json", id: nil, source: nil)
                await raw("not json", id: nil, source: nil)
                await raw("{}", id: UUID().uuidString, source: "intake")
                _ = await publisher.send(City.report(data: #"{"poison":true}"#))
                let good = City.report()
                _ = await publisher.send(good)
                try await eventually("the good one is done") { try await city.count("dispatch.effect") == 1 }
                try await eventually("three kinds of nonsense are dead") {
                    try await city.count("dispatch.dead_letter") == 3
                }
                #expect(consumer.currentHealth.isAttached)
                #expect(try await city.count("dispatch.inbox") == 4)
                #expect(try await city.count("dispatch.retry") == 0)
                let letters = try await DeadLetters(service: .dispatch, database: city.client(.dispatch)).list()
                #expect(
                    letters.map(\.reason).sorted() == [
                        "as the test wants it", "specversion is missing", "the body is not JSON",
                    ])
                #expect(letters.allSatisfy { $0.version == "test" && $0.consumer == "dispatch.routine" })
            }
        }

        @Test func aDeadLetterCanBeRetriedOrDiscarded() async throws {
            try await withCity { city in
                let isMended = Counter()
                let handler = Deciding(
                    schema: "dispatch",
                    fails: { _ in if isMended.count == 0 { throw Poison("not yet understood") } })
                await city.consume(.routine, handler)
                let publisher = await city.publisher()
                for _ in 0..<2 { _ = await publisher.send(City.report()) }
                try await eventually("both are dead") { try await city.count("dispatch.dead_letter") == 2 }
                let dead = DeadLetters(service: .dispatch, database: await city.client(.dispatch))
                let letters = try await dead.list()
                #expect(try await dead.discard(letters[0].id, by: "admin"))
                #expect(try await !dead.discard(letters[0].id, by: "admin"))
                isMended.next()
                #expect(try await dead.retry(letters[1].id))
                #expect(try await !dead.retry(letters[0].id))
                try await eventually("the retried one is done") { try await city.count("dispatch.effect") == 1 }
                #expect(try await city.count("dispatch.retry") == 0)
                #expect(try await dead.list().isEmpty)
                #expect(try await city.count("dispatch.dead_letter", where: "discarded_by = 'admin'") == 1)
            }
        }

        @Test func whatFailsForAWhileIsParkedAndDoneLater() async throws {
            try await withCity { city in
                let tries = Counter()
                let handler = Deciding(
                    schema: "dispatch", fails: { _ in if tries.next() < 2 { throw StageFailure("not now") } })
                await city.consume(.routine, handler)
                let publisher = await city.publisher()
                _ = await publisher.send(City.report())
                try await eventually("it is parked") { try await city.count("dispatch.retry") == 1 }
                #expect(try await city.count("dispatch.api_inbox") == 1)
                try await eventually("it is done") { try await city.count("dispatch.effect") == 1 }
                #expect(try await city.count("dispatch.retry") == 0)
                #expect(try await city.count("dispatch.dead_letter") == 0)
            }
        }

        /// M03: rabbitmq/rabbitmq-server#11937.
        @Test func anOutageOfTheDatabaseParksNothingAndUsesUpNoReturns() async throws {
            try await withCity { city in
                let line = try await Line.open(to: city.servers.databasePort)
                defer { line.close() }
                let consumer = await city.consume(
                    .routine, Deciding(schema: "dispatch"), databasePort: line.port)
                let publisher = await city.publisher()
                _ = await publisher.send(City.report())
                try await eventually("the consumer works") { try await city.count("dispatch.effect") == 1 }
                line.set(.cut)
                for _ in 0..<300 { _ = await publisher.send(City.report()) }
                try await eventually("the consumer pauses") { !consumer.currentHealth.isMeant }
                try await eventually("it has let go of its messages") {
                    try await publisher.readyCount(queue: "dispatch.routine").count == 300
                }
                line.set(.whole)
                try await eventually("all are done") { try await city.count("dispatch.effect") == 301 }
                #expect(try await city.count("dispatch.inbox") == 301)
                #expect(try await city.count("dispatch.retry") == 0)
                #expect(try await city.count("dispatch.dead_letter") == 0)
                #expect(consumer.currentHealth.isMeant)
            }
        }

        /// M19: neo4j/neo4j-java-driver#593. The COMMIT arrives, its answer does not.
        @Test(arguments: [true, false]) func aCommitWhoseAnswerWasLostHasOneEffect(asDecision: Bool) async throws {
            try await withCity { city in
                let line = try await Line.open(to: city.servers.databasePort)
                defer { line.close() }
                let muted = Counter()
                // The line falls silent while the decision is made: what is sent after that arrives.
                let mute: @Sendable (Event) throws -> Void = { _ in if muted.next() == 0 { line.set(.mute) } }
                let handler: any EventHandler =
                    asDecision ? Deciding(schema: "dispatch", fails: mute) : MutingSegment(mute: mute)
                await city.consume(.routine, handler, databasePort: line.port)
                let publisher = await city.publisher()
                _ = await publisher.send(City.report())
                try await eventually("the effect is committed") { try await city.count("dispatch.effect") == 1 }
                line.set(.cut)
                line.set(.whole)
                _ = await publisher.send(City.report())
                try await eventually("the next is done too") { try await city.count("dispatch.effect") >= 2 }
                try await eventually("nothing is left in the queue") {
                    try await publisher.readyCount(queue: "dispatch.routine").count == 0
                }
                #expect(try await city.count("dispatch.effect") == 2)
                #expect(try await city.count("dispatch.inbox") == 2)
                #expect(try await city.count("dispatch.retry") == 0)
            }
        }

        @Test func rivalsOverAKeyLookAndDecideAgain() async throws {
            try await withCity { city in
                for _ in 0..<2 { await city.consume(.routine, Numbering(schema: "dispatch")) { $0.batch = 10 } }
                let publisher = await city.publisher()
                for _ in 0..<200 { _ = await publisher.send(City.report()) }
                try await eventually("each has a number") { try await city.count("dispatch.numbered") == 200 }
                #expect(try await city.count("dispatch.dead_letter") == 0)
                #expect(try await city.sql("SELECT max(n) FROM dispatch.numbered") == "200")
            }
        }

        @Test func aRoutineBatchLeavesWhatANeighbourHasLockedForLater() async throws {
            try await withCity { city in
                let neighbour = await city.client(.dispatch, idles: true)
                let handler = Deciding(schema: "dispatch", cell: "flood")
                let publisher = await city.publisher()
                try await neighbour.transaction { transaction in
                    try await transaction.send([
                        AdvisoryLock.statement([.cell(x: 1, y: 2, group: "flood")], waits: true)
                    ])
                    await city.consume(.routine, handler)
                    _ = await publisher.send(City.report())
                    // Three batches in vain, then it waits for the lock in a transaction of its own.
                    try await eventually("it waits") {
                        try await city.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                            == "1"
                    }
                    #expect(try await city.count("dispatch.inbox") == 0)
                    _ = try await transaction.commit()
                }
                try await eventually("it is done") { try await city.count("dispatch.effect") == 1 }
                #expect(try await city.count("dispatch.inbox") == 1)
                #expect(try await city.count("dispatch.retry") == 0)
            }
        }

        @Test func anEventThatCallsForNothingIsDoneAllTheSame() async throws {
            try await withCity { city in
                await city.consume(.routine, Indifferent())
                let publisher = await city.publisher()
                for _ in 0..<10 { _ = await publisher.send(City.report()) }
                try await eventually("all are in the inbox") { try await city.count("dispatch.inbox") == 10 }
                #expect(try await city.count("dispatch.effect") == 0)
            }
        }

        @Test func whatAHandlerAnnouncesIsSentOn() async throws {
            try await withCity { city in
                let handler = Deciding(
                    schema: "dispatch",
                    announces: { event in
                        var opened = City.report(.emergency, type: .caseOpened)
                        opened.causationID = event.id
                        return [Announcement(event: opened, actor: "triage")]
                    })
                _ = await Station(city, .dispatch)
                let queue = await Listener(city, "notification.emergency")
                await city.consume(.routine, handler)
                let publisher = await city.publisher()
                _ = await publisher.send(City.report())
                try await eventually("the case is announced") { queue.ids.count == 1 }
                #expect(
                    try await city.count("dispatch.history", where: "causation_id IS NOT NULL AND actor = 'triage'")
                        == 1)
            }
        }
    }
}

/// `Recording` that mutes the line at the moment when its statements are asked for.
private struct MutingSegment: SegmentHandler {
    let mute: @Sendable (Event) throws -> Void

    func effects(of event: Event) throws -> (statements: [SQL], announcements: [Announcement]) {
        try mute(event)
        return (["INSERT INTO dispatch.effect (event_id) VALUES (\(event.id))"], [])
    }
}

/// Decides that nothing is to be done.
private struct Indifferent: DecisionHandler {
    func plan(_ events: [Event]) throws -> (locks: [AdvisoryLock], look: [SQL], plan: Int) { ([], [], 0) }

    func decide(
        _ events: [Event], plan: Int, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement]) { ([], []) }
}
