internal import AMQP
internal import Logging

/// Whether the acting queues that a relay fills have room. The backlog belongs into the database, where it harms nobody.
final class QueueBound: Sendable {
    private let publisher: AMQPPublisher
    private let queues: [String]
    private let maximum: Int
    private let depths = Mutexed<[String: Int]>([:])

    init(publisher: AMQPPublisher, queues: [String], maximum: Int) {
        self.publisher = publisher
        self.queues = queues
        self.maximum = maximum
    }

    /// Messages that may still be sent before the fullest queue reaches the bound.
    var room: Int { depths.withLock { maximum - ($0.values.max() ?? 0) } }

    /// Counts what was sent since the last look, so that a second's worth cannot overshoot by much.
    func sent(_ count: Int) {
        depths.withLock { depths in for queue in queues { depths[queue, default: 0] += count } }
    }

    func refresh() async {
        for queue in queues {
            guard let answer = try? await publisher.readyCount(queue: queue) else { continue }
            // An overloaded RabbitMQ 3.10 answers 0 after 250 ms: such a 0 is no news.
            if answer.count == 0 && answer.answeredIn > .milliseconds(200) { continue }
            depths.withLock { $0[queue] = answer.count }
        }
    }
}
