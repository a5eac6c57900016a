import AMQP
import Model
import NIOConcurrencyHelpers
import NIOPosix
import ServiceLifecycle

@testable import Outbox

/// Takes a queue's messages and remembers which events came.
final class Listener: Sendable {
    private let consumer: AMQPConsumer
    private let seen = NIOLockedValueBox<(ids: Set<EventRecord.ID>, deliveries: Int)>(([], 0))

    init(_ city: City, _ queue: String, topology: Topology = CityTopology.topology) async {
        consumer = AMQPConsumer(
            configuration: city.servers.broker(city.virtualHost), topology: topology, queue: queue, prefetch: 1_000,
            eventLoop: City.loops.next(), logger: City.logger)
        await city.group.start(consumer)
        await city.group.start(Loop(listener: self))
        _ = await consumer.waitUntilAttached(within: .seconds(30))
    }

    var ids: Set<EventRecord.ID> { seen.withLockedValue { $0.ids } }
    var deliveries: Int { seen.withLockedValue { $0.deliveries } }
    var isAttached: Bool { consumer.isAttached }

    /// Leaves the queue to others.
    func stop() async throws { await consumer.pause() }

    private struct Loop: Service {
        let listener: Listener

        func run() async throws {
            while !listener.consumer.isStopped && !Task.isCancelled {
                let batch = await listener.consumer.nextBatch(max: 100, within: .seconds(1))
                listener.seen.withLockedValue { seen in
                    for message in batch.flatMap({ Message.messages(of: $0) }) {
                        seen.deliveries += 1
                        seen.ids.insert(EventRecord.ID(message.key.eventID))
                    }
                }
                listener.consumer.ack(batch)
            }
        }
    }
}
