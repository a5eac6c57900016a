import AMQP
import Foundation
import Model
import Outbox
import Testing

@Suite("CONTRACTS.md, events and queues")
struct EventContractTests {
    @Test("the event catalogue is the list of event types, with publisher and who acts in the lane")
    func catalogue() throws {
        let page = try ContractsPage()
        var listed: Set<String> = []
        for row in page.rows(3, where: { $0[0].contains(".v1`") }) {
            for code in ContractsPage.codes(row[0]) {
                let type = try #require(EventType(rawValue: code), "\(code) is no event type")
                listed.insert(code)
                #expect(type.publisher.rawValue == row[1], "\(code)")
                let acting = type.emergencyConsumers.map(\.rawValue)
                #expect(acting == (row[3] == "–" ? [] : [row[3]]), "\(code)")
            }
        }
        #expect(listed == Set(EventType.allCases.map(\.rawValue)))
    }

    @Test("every queue and binding that the page names is declared, as quorum queues")
    func queues() throws {
        let page = try ContractsPage()
        let topology = CityTopology.topology
        #expect(Set(topology.exchanges.map(\.name)) == ["city.events", "city.dead"])
        for queue in topology.queues {
            #expect(page.text.contains("`\(queue.name)`"), "\(queue.name) is not on the page")
            #expect(queue.kind == .quorum, "\(queue.name)")
        }
        for name in [
            "dispatch.emergency", "dispatch.routine", "notification.emergency", "notification.routine",
            "scoring.events", "dispatch.dead", "notification.dead",
        ] {
            #expect(topology.queues.contains { $0.name == name }, "\(name) is not declared")
        }
        for binding in topology.bindings where binding.exchange == "city.events" {
            #expect(page.text.contains("`\(binding.routingKey)`"), "\(binding.queue): \(binding.routingKey)")
        }
    }

    /// rabbitmq/rabbitmq-server#8495: at-least-once dead-lettering never drains in a circle.
    @Test("what the broker gives up goes round in no circle, and every acting queue has the net")
    func noCircle() throws {
        let file = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("deploy/stack/definitions")
        let text = try String(contentsOf: file, encoding: .utf8)
        let acting = try #require(text.range(of: #""name": "acting""#))
        let policy = text[acting.lowerBound...]
        let pattern = try #require(policy.firstMatch(of: #/"pattern": "([^"]*)"/#)).1.replacing("\\\\\\\\", with: "\\")
        #expect(policy.contains(#""dead-letter-exchange": "city.dead""#))
        let regex = try Regex(String(pattern))
        for queue in CityTopology.topology.queues {
            let isActing = queue.name.hasSuffix(".emergency") || queue.name.hasSuffix(".routine")
            #expect((queue.name.firstMatch(of: regex) != nil) == isActing, "\(queue.name)")
        }
        for service in [ServiceName.dispatch, .notification] {
            let dead = CityTopology.deadQueue(service)
            #expect(CityTopology.topology.bindings.filter { $0.queue == dead }.map(\.exchange) == ["city.dead"])
        }
    }

    @Test("each event type reaches the queue of everybody who acts on it, in both lanes", arguments: EventType.allCases)
    func routing(_ type: EventType) {
        for lane in Lane.allCases {
            let key = "\(lane.rawValue).city.\(type.rawValue)"
            let reached = Set(
                CityTopology.topology.bindings
                    .filter { $0.exchange == "city.events" && Self.matches($0.routingKey, key) }.map(\.queue))
            for consumer in type.emergencyConsumers {
                #expect(reached.contains(CityTopology.queue(consumer, lane)), "\(key)")
            }
            #expect(reached.contains("scoring.events"), "\(key)")
        }
    }

    /// Topic matching as the broker does it: `*` is one word, `#` any number of them.
    private static func matches(_ pattern: String, _ key: String) -> Bool {
        func match(_ pattern: ArraySlice<Substring>, _ key: ArraySlice<Substring>) -> Bool {
            guard let word = pattern.first else { return key.isEmpty }
            if word == "#" {
                return (0...key.count).contains { match(pattern.dropFirst(), key.dropFirst($0)) }
            }
            guard let next = key.first, word == "*" || word == next else { return false }
            return match(pattern.dropFirst(), key.dropFirst())
        }
        return match(pattern.split(separator: ".")[...], key.split(separator: ".")[...])
    }
}
