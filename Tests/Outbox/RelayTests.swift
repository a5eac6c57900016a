import AMQP
import FoundationEssentials
import Model
import Postgres
import Testing

@testable import Outbox

/// What needs the servers runs one test after the other: some of them stop the broker, and two cores are few.
@Suite(.serialized) struct ServerTests {}

extension ServerTests {
    @Suite struct RelayTests {
        @Test func aCommittedEventReachesItsQueueAndLeavesTheOutbox() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let queue = await Listener(city, "dispatch.routine")
                let events = (0..<300).map { _ in City.report() }
                try await intake.announce(events)
                try await eventually("all are delivered") { queue.ids.count == 300 }
                #expect(queue.ids == Set(events.map(\.id)))
                try await eventually("the outbox is empty") { try await city.count("intake.outbox") == 0 }
                #expect(queue.deliveries == 300)
                #expect(try await city.count("intake.history") == 300)
            }
        }

        /// M01: kamu-data/kamu-cli#1398, patchlevel/event-sourcing#615, SQLStreamStore#121.
        @Test func aLateCommitWithALowerIdIsSent() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let queue = await Listener(city, "dispatch.routine")
                let late = City.report()
                let never = City.report()
                let early = City.report()
                let slow = await city.client(.intake, idles: true)
                let other = await city.client(.intake)
                try await slow.transaction { transaction in
                    try await transaction.send(intake.messaging.announce([Announcement(event: late, actor: "test")]))
                    // A gap that stays: this one is never committed.
                    try? await other.transaction { transaction in
                        try await transaction.send(
                            intake.messaging.announce([Announcement(event: never, actor: "test")]))
                        throw CancellationError()
                    }
                    try await intake.announce([early])
                    try await eventually("the later id is sent") { queue.ids == [early.id] }
                }
                try await eventually("the late one is sent as well") { queue.ids == [early.id, late.id] }
                try await eventually("the outbox is empty") { try await city.count("intake.outbox") == 0 }
            }
        }

        /// M06: zarusz/SlimMessageBus#458, wework/grabbit#203.
        @Test func fiveHundredRowsWaitForABrokerThatIsAwayAndAllArrive() async throws {
            try await withCity { city in
                let line = try await Line.open(to: city.servers.brokerPort)
                defer { line.close() }
                let queue = await Listener(city, "dispatch.routine")
                try await eventually("the queue exists") { queue.isAttached }
                line.set(.cut)
                let intake = await Station(city, .intake, brokerPort: line.port)
                try await intake.announce((0..<500).map { _ in City.report() })
                try await Task.sleep(for: .seconds(2))
                // No try is used up, and nothing is marked sent.
                #expect(try await city.count("intake.outbox", where: "attempt = 0") == 500)
                line.set(.whole)
                try await eventually("all arrive") { queue.ids.count == 500 }
                try await eventually("the outbox is empty") { try await city.count("intake.outbox") == 0 }
            }
        }

        /// The link breaks between publish and confirm. M05: rabbitmq/amqp091-go#46. M06: zarusz/SlimMessageBus#458.
        @Test func whatHasNoConfirmIsSentAgainAndNeverMarkedSent() async throws {
            try await withCity { city in
                let line = try await Line.open(to: city.servers.brokerPort)
                defer { line.close() }
                let queue = await Listener(city, "dispatch.routine")
                let intake = await Station(city, .intake, brokerPort: line.port)
                try await eventually("the publisher is connected") { intake.isConnected }
                line.set(.mute)
                let event = City.report()
                try await intake.announce([event])
                try await eventually("the broker has it") { queue.ids == [event.id] }
                line.set(.cut)
                #expect(try await city.count("intake.outbox") == 1)
                line.set(.whole)
                try await eventually("the row is settled by its own confirm") {
                    try await city.count("intake.outbox") == 0
                }
                try await eventually("it was sent again") { queue.deliveries >= 2 }
                #expect(queue.ids == [event.id])
            }
        }

        /// M07: MassTransit/MassTransit#6216, gruelbox/transaction-outbox#788. M18: SpinGo/op-rabbit#83.
        @Test func aRowThatCannotBeSentStopsNobodyAndIsReported() async throws {
            try await withCity { city in
                // Nothing is bound for facilities here, so the broker returns them.
                let topology = Topology(
                    exchanges: [.init(name: CityTopology.events)], queues: [.init(name: "dispatch.routine")],
                    bindings: [
                        .init(exchange: CityTopology.events, routingKey: "*.*.report.#", queue: "dispatch.routine")
                    ])
                let queue = await Listener(city, "dispatch.routine", topology: topology)
                let intake = await Station(city, .intake, topology: topology, starts: false)
                let bad = City.report(type: .facilityChanged)
                try await intake.announce([bad] + (0..<100).map { _ in City.report() } + [City.report(.emergency)])
                for service in intake.services.services { await city.group.start(service) }
                try await eventually("the good rows and the emergency are delivered") { queue.ids.count == 101 }
                try await eventually("only the bad row is left") { try await city.count("intake.outbox") == 1 }
                try await eventually("its refusals are counted, with a growing pause") {
                    try await city.count("intake.outbox", where: "refused >= 2 AND refusal LIKE '%NO_ROUTE%'") == 1
                }
                let state = try await OutboxState.look(at: .intake, in: intake.database)
                #expect(state.refused == 1)
                #expect(state.lastRefusal?.contains("NO_ROUTE") == true)
            }
        }

        /// M07: MassTransit/MassTransit#6216. A body above what the broker takes would cost the channel, and all that is
        /// under way on it, again and again.
        @Test func aRowThatIsTooLargeStopsNobodyAndIsReported() async throws {
            try await withCity { city in
                let queue = await Listener(city, "dispatch.routine")
                let intake = await Station(city, .intake, largestBody: 100_000, starts: false)
                let large = City.report(data: #"{"n":"\#(String(repeating: "x", count: 100_000))"}"#)
                let good = (0..<100).map { _ in City.report() }
                try await intake.announce([large] + good)
                for service in intake.services.services { await city.group.start(service) }
                try await eventually("the others are delivered") { queue.ids == Set(good.map(\.id)) }
                #expect(queue.deliveries == 100, "none of them was in doubt")
                try await eventually("it stays, with its reason and a growing pause") {
                    try await city.count("intake.outbox", where: "refused >= 2 AND refusal LIKE '%may be sent%'") == 1
                }
                #expect(try await OutboxState.look(at: .intake, in: intake.database).refused == 1)
                #expect(intake.isConnected)
            }
        }

        /// M09: riverqueue/river#1302, JasperFx/wolverine#587.
        @Test func anOwnerWhoseLeaseWasTakenChangesNothing() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake, starts: false)
                let outbox = RoutineOutbox(service: .intake)
                let event = City.report()
                try await intake.announce([event])
                let (first, second) = (UUID(), UUID())
                func claim(_ sql: SQL) async throws -> Int {
                    try await intake.database.segment([RoutineOutbox.pinnedPlans, sql])[1].count
                }
                let zero = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
                #expect(try await claim(outbox.claimUnsent(limit: 10, after: zero, lease: first, for: .zero)) == 1)
                // The first owner's lease has run out; another takes the row.
                #expect(try await claim(outbox.claimExpired(limit: 10, lease: second, for: .seconds(60))) == 1)
                let id = event.id.rawValue
                for stale in [
                    outbox.confirmed([id], lease: first), outbox.refused(id, reason: "x", lease: first),
                    outbox.unknown([id], lease: first, after: .zero), outbox.released([id], lease: first),
                ] {
                    #expect(try await intake.database.query(stale).affected == 0)
                }
                #expect(try await claim(outbox.claimExpired(limit: 10, lease: first, for: .zero)) == 0)
                #expect(try await intake.database.query(outbox.confirmed([id], lease: second)).affected == 1)
                // Finished stays finished.
                #expect(try await claim(outbox.claimExpired(limit: 10, lease: first, for: .zero)) == 0)
                #expect(try await city.count("intake.outbox") == 0)
            }
        }

        @Test func relaysOfTwoInstancesShareTheRowsAndSendEachOnce() async throws {
            try await withCity { city in
                let queue = await Listener(city, "dispatch.routine")
                let one = await Station(city, .intake)
                let two = await Station(city, .intake)
                for _ in 0..<10 {
                    try await one.announce((0..<50).map { _ in City.report() })
                    two.messaging.committed([.routine])
                }
                try await eventually("all are delivered") { queue.ids.count == 500 }
                try await eventually("the outbox is empty") { try await city.count("intake.outbox") == 0 }
                #expect(queue.deliveries == 500)
            }
        }

        /// M07: thomhurst/Dekaf#3254.
        @Test func fiftyQuietDistrictsDoNotWaitBehindABusyOne() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake, starts: false)
                let quiet = (0..<50).map { _ in District.ID(UUID()) }
                try await intake.announce(
                    (0..<1_000).map { _ in City.report() } + quiet.map { City.report(district: $0) })
                let answers = try await intake.database.segment([
                    RoutineOutbox.pinnedPlans,
                    RoutineOutbox(service: .intake).claimUnsent(
                        limit: 100, after: City.district.rawValue, lease: UUID(), for: .seconds(60)),
                ])
                let districts = try answers[1].map { try $0.decode("district_id", as: UUID.self) }
                #expect(Set(districts).isSuperset(of: quiet.map(\.rawValue)))
                #expect(districts.count <= 100)
            }
        }
    }
}
