import AMQP
import FoundationEssentials
import Model
import Postgres
import Testing

@testable import Outbox

@Suite struct FlowShareTests {
    @Test func aCalmLaneGivesTheWholeShareStepByStep() {
        var share = FlowShare(share: 0.5)
        for _ in 0..<9 { share.observe(pressure: 0) }
        #expect(share.share < 1)
        for _ in 0..<2 { share.observe(pressure: 0) }
        #expect(share.share == 1)
    }

    @Test func aBadReadingHalvesTheShareAndNeverGoesPastOneMinusPressure() {
        var share = FlowShare(share: 1)
        share.observe(pressure: 0.9)
        #expect(share.share == 0.5)
        share.observe(pressure: 0.9)
        #expect(share.share == 0.25)
        for _ in 0..<5 { share.observe(pressure: 0.9) }
        #expect(abs(share.share - 0.1) < 1e-9)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity, nil])
    func nonsenseAndSilenceCountAsTheMiddle(_ reading: Double?) {
        var share = FlowShare(share: 1)
        share.observe(pressure: reading)
        #expect(share.share == 0.5)
    }

    @Test func theFloorKeepsRoutineWorkMoving() {
        var share = FlowShare(share: 0)
        #expect(share.limit(floor: 5, maximum: 100) == 5)
        share.observe(pressure: 0)
        #expect(share.limit(floor: 0, maximum: 100) == 5)
        #expect(FlowShare(share: 1).limit(floor: 5, maximum: 100) == 100)
    }
}

@Suite struct ResendBudgetTests {
    @Test func withoutTrafficFiftyASecondMayBeSentAgain() {
        var budget = ResendBudget()
        for _ in 0..<10 { budget.advance(elapsed: .milliseconds(100), sent: 0) }
        #expect((49...50).contains(budget.allowed))
        budget.spend(50)
        #expect(budget.allowed == 0)
    }

    @Test func atHighRatesATenthOfTheRateMayBeSentAgain() {
        var budget = ResendBudget()
        for _ in 0..<30 { budget.advance(elapsed: .seconds(1), sent: 2_000) }
        #expect((190...200).contains(budget.allowed))
    }
}

@Suite struct AdvisoryLockTests {
    @Test func eventsComeBeforeAggregatesBeforeCellsBeforeNames() {
        for _ in 0..<200 {
            let locks: [AdvisoryLock] = [
                .event(UUID()), .aggregate(UUID()),
                .cell(x: .random(in: -9_999...9_999), y: .random(in: -9_999...9_999), group: "flood"), .named("storm"),
            ]
            #expect(locks.shuffled().sorted() == locks)
        }
    }

    @Test func neighbouringCellsAndGroupsHaveKeysOfTheirOwn() {
        var keys: Set<Int64> = []
        for x in -50..<50 {
            for y in -50..<50 {
                for group in ["flood", "pipe"] { keys.insert(AdvisoryLock.cell(x: x, y: y, group: group).key) }
            }
        }
        #expect(keys.count == 20_000)
    }

    @Test func theKeyNeverChanges() {
        // Instances of different releases meet in it.
        #expect(AdvisoryLock.cell(x: 45_620, y: 9_020, group: "flood").key == 2_684_082_256_938_201_858)
    }
}

@Suite struct InboxKeyTests {
    @Test func aBodyWithoutIdIsKnownByItsBytes() {
        let body = Array("not json".utf8)
        let message = Message(body: body, path: .broker, source: nil, id: nil, type: nil)
        #expect(message.key == .unknown(body))
        #expect(message.key.source == "unknown")
        #expect(InboxKey.unknown(body) != .unknown(Array("other".utf8)))
        #expect(message.key.eventID.uuid.6 >> 4 == 8)
    }

    @Test func aBrokenBodyIsKnownByItsEnvelope() {
        let id = UUID()
        let message = Message(body: [1, 2], path: .broker, source: "intake", id: id, type: "report.received.v1")
        #expect(message.key == InboxKey(source: "intake", eventID: id))
        guard case .poison(let reason) = message.content else { return #expect(Bool(false), "it is no event") }
        #expect(reason == "the body is not JSON")
    }

    @Test func anEventOfASourceThatDoesNotPublishItIsPoison() {
        var event = City.report()
        event.source = .scoring
        let message = Message(body: event.structuredJSON(), path: .broker, source: nil, id: nil, type: nil)
        guard case .poison = message.content else { return #expect(Bool(false), "scoring publishes no reports") }
    }

    @Test func theFieldIsNamedAndItsValueIsNot() {
        let text = String(decoding: City.report().structuredJSON(), as: UTF8.self)
        let broken = text.replacing(#""aggregateversion":1"#, with: #""aggregateversion":"secret""#)
        let message = Message(body: Array(broken.utf8), path: .broker, source: nil, id: nil, type: nil)
        guard case .poison(let reason) = message.content else { return #expect(Bool(false), "a number is wanted") }
        #expect(reason == "aggregateversion has the wrong type")
    }
}

@Suite struct FailureTests {
    @Test(arguments: [
        (PostgresError(.connection, ""), "unreachable"), (PostgresError(.readOnly, ""), "unreachable"),
        (PostgresError(.timeout, ""), "unreachable"), (PostgresError(.timeout, "", sqlState: "57014"), "passing"),
        (PostgresError(.unknownOutcome, ""), "unknownOutcome"),
        (PostgresError(.server, "", sqlState: "23505"), "conflict"),
        (PostgresError(.server, "", sqlState: "23P01"), "conflict"),
        (PostgresError(.server, "", sqlState: "40P01"), "conflict"),
        (PostgresError(.server, "", sqlState: "57P01"), "unreachable"),
        (PostgresError(.server, "", sqlState: "53300"), "unreachable"),
        (PostgresError(.server, "", sqlState: "42P01"), "passing"),
        (PostgresError(.server, "", sqlState: "23514"), "passing"),
    ])
    func anErrorOfTheDatabaseSaysWhatBecomesOfTheMessage(_ error: PostgresError, _ expected: String) {
        #expect("\(Failure(error))" == expected)
    }

    @Test func onlyStatesOfTheServersOwnTroubleAreBlameless() {
        for state in ["08006", "25006", "40001", "53100", "55P03", "57014"] {
            #expect(Failure.isBlameless(PostgresError(.server, "", sqlState: state)))
        }
        for state in ["22003", "23514", "42703"] {
            #expect(!Failure.isBlameless(PostgresError(.server, "", sqlState: state)))
        }
        #expect(!Failure.isBlameless(Poison("x")))
    }
}

@Suite struct TopologyTests {
    @Test func everyEventOfEveryLaneFindsAQueue() {
        for type in EventType.allCases {
            for lane in Lane.allCases {
                let event = City.report(lane, type: type)
                #expect(!queues(for: event.routingKey).isEmpty, "\(event.routingKey)")
            }
        }
    }

    @Test func emergenciesGoToTheQueuesOfThoseNamedForThem() {
        for type in EventType.allCases {
            let acting = queues(for: City.report(.emergency, type: type).routingKey).filter {
                $0.hasSuffix(".emergency")
            }
            #expect(Set(acting) == Set(type.emergencyInboxes))
        }
    }

    /// M23: rabbitmq/rabbitmq-server#3100.
    @Test func noQueueIsItsOwnDeadLetterTarget() {
        let dead = CityTopology.topology.bindings.filter { $0.exchange == CityTopology.dead }
        #expect(dead.map(\.queue) == ["dispatch.dead", "notification.dead"])
    }

    @Test func aRelayLooksAtTheQueuesThatItFills() {
        #expect(CityTopology.routineTargets(of: .intake) == ["dispatch.routine"])
        #expect(CityTopology.routineTargets(of: .dispatch) == ["notification.routine"])
        #expect(CityTopology.routineTargets(of: .notification) == ["dispatch.routine"])
        #expect(CityTopology.routineTargets(of: .scoring).isEmpty)
    }

    private func queues(for key: String) -> Set<String> {
        Set(CityTopology.topology.bindings.filter { matches(key, $0.routingKey) }.map(\.queue))
    }

    /// As a topic exchange matches: `*` is a word, `#` any number of them.
    private func matches(_ key: String, _ pattern: String) -> Bool {
        func match(_ words: ArraySlice<Substring>, _ parts: ArraySlice<Substring>) -> Bool {
            guard let part = parts.first else { return words.isEmpty }
            if part == "#" {
                return (0...words.count).contains { match(words.dropFirst($0), parts.dropFirst()) }
            }
            guard let word = words.first, part == "*" || part == word else { return false }
            return match(words.dropFirst(), parts.dropFirst())
        }
        return match(key.split(separator: ".")[...], pattern.split(separator: ".")[...])
    }
}

@Suite struct DeathTests {
    @Test func theFirstDeathSaysWhoseMessageItWas() {
        let second: AMQPValue = .table(["queue": "other", "reason": "expired", "count": 1])
        let first: AMQPValue = .table(["queue": "dispatch.routine", "reason": "delivery_limit", "count": 1])
        let death = Death(["x-death": .array([second, first])])
        #expect(death?.queue == "dispatch.routine")
        #expect(death?.reason == "delivery_limit")
    }

    @Test func whatNeverDiedHasNoDeath() {
        let strange: [[String: AMQPValue]] = [
            [:], ["x-death": "text"], ["x-death": .array([])], ["x-death": .array([1])],
            ["x-death": .array([.table(["queue": 7, "reason": "rejected"])])],
        ]
        for headers in strange { #expect(Death(headers) == nil) }
    }
}

@Suite struct PublicationTests {
    private func row(_ key: String, bytes: Int = 100) -> OutboxRow {
        OutboxRow(
            id: UUID(), district: UUID(), attempt: 1, routingKey: key, type: "case.opened.v1",
            body: Array(repeating: UInt8(ascii: " "), count: bytes))
    }

    @Test func eventsWithOneKeyGoTogetherInTheirOrder() {
        let rows = (0..<60).map { row($0.isMultiple(of: 3) ? "r.a.x" : "r.b.x") }
        let publications = Publication.together(rows)
        #expect(publications.map(\.rows.count).sorted() == [15, 20, 25])
        for publication in publications {
            #expect(Set(publication.rows.map(\.routingKey)).count == 1)
            let places = publication.rows.compactMap { row in rows.firstIndex { $0.id == row.id } }
            #expect(places == places.sorted())
        }
        #expect(Set(publications.flatMap(\.rows).map(\.id)) == Set(rows.map(\.id)))
    }

    @Test func aLargeEventGoesAlone() {
        let publications = Publication.together([row("k"), row("k", bytes: Publication.mostBytes), row("k")])
        #expect(publications.map(\.rows.count) == [1, 2] || publications.map(\.rows.count) == [1, 1, 1])
        #expect(publications.allSatisfy { $0.body.count <= Publication.mostBytes + 200 })
        #expect(Publication.together([]).isEmpty)
    }

    @Test func routineWorkRestsAsLongAsPressureSays() {
        #expect(FlowShare(share: 1).rest(after: .milliseconds(20)) == .zero)
        #expect(FlowShare(share: 0.5).rest(after: .milliseconds(20)) == .milliseconds(20))
        #expect(FlowShare(share: 0).rest(after: .milliseconds(20)) > .milliseconds(179))
        #expect(FlowShare(share: 0).rest(after: .seconds(20)) == .seconds(1))
    }
}
