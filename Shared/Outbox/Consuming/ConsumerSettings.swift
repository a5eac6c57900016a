internal import FoundationEssentials

/// The bounds of a consumer.
public struct ConsumerSettings: Sendable {
    /// Unsettled deliveries at most; one may bring a batch of events.
    public var prefetch: Int
    /// Events of one transaction at most.
    public var batch: Int
    /// Batches under way at once.
    public var workers: Int
    /// How long a routine batch may be gathered for when something waits for its neighbour's lock.
    public var gatherTime = Duration.milliseconds(20)
    /// The lane: how long the broker is given the lead before the outbox row is taken.
    public var grace = Duration.milliseconds(2)
    /// The lane: how often the producers' outboxes are looked at though nobody called.
    public var poll = Duration.milliseconds(250)
    /// How often parked messages are looked at.
    public var retryPoll = Duration.milliseconds(500)
    /// Whether the lane listens for hints at all; without them the poll alone delivers.
    public var listens = true

    public init(prefetch: Int, batch: Int, workers: Int) {
        self.prefetch = prefetch
        self.batch = batch
        self.workers = workers
    }

    /// Small batches, so that the first of them does not wait for the last.
    public static let emergency = ConsumerSettings(prefetch: 64, batch: 16, workers: 4)
    /// As much as one transaction of at most about 20 ms holds. One at a time on small machines: two would wait for each
    /// other's locks, and each emergency for both (`Tests/Benchmarks/run lane`).
    public static let routine = ConsumerSettings(
        prefetch: 100, batch: 100, workers: min(4, max(1, ProcessInfo.processInfo.activeProcessorCount / 4)))
}
