internal import AMQP
internal import Logging

/// Whether the acting queues that a relay fills have room. The backlog belongs into the database, where it harms nobody.
final class QueueBound: Sendable {
    private struct State {
        /// As of the last look, and what was sent since.
        var depths: [String: Int] = [:]
        /// As of the last look alone.
        var seen: [String: Int] = [:]
    }

    private let publisher: AMQPPublisher
    private let queues: [String]
    private let maximum: Int
    private let state = Mutexed(State())

    init(publisher: AMQPPublisher, queues: [String], maximum: Int) {
        self.publisher = publisher
        self.queues = queues
        self.maximum = maximum
    }

    /// Messages that may still be sent before the fullest queue reaches the bound.
    var room: Int { state.withLock { maximum - ($0.depths.values.max() ?? 0) } }

    /// Whether the last look saw messages in this queue that wait to be taken.
    func isWaiting(in queue: String) -> Bool { state.withLock { ($0.seen[queue] ?? 0) > 0 } }

    /// Counts what was sent since the last look, so that a second's worth cannot overshoot by much.
    func sent(_ count: Int) {
        state.withLock { state in for queue in queues { state.depths[queue, default: 0] += count } }
    }

    func refresh() async {
        for queue in queues {
            guard let answer = try? await publisher.readyCount(queue: queue) else { continue }
            // An overloaded RabbitMQ 3.10 answers 0 after 250 ms: such a 0 is no news.
            if answer.count == 0 && answer.answeredIn > .milliseconds(200) { continue }
            state.withLock { state in
                state.depths[queue] = answer.count
                state.seen[queue] = answer.count
            }
        }
    }
}
