import NIOConcurrencyHelpers
import NIOCore
import Synchronization

/// A message on its way from a caller to the event loop.
struct Submission: Sendable {
    typealias Waiter = CheckedContinuation<PublishOutcome, Never>

    let id: UInt64
    let exchange: String
    let routingKey: String
    let properties: MessageProperties
    let body: [UInt8]
    let mandatory: Bool
    let submitted: NIODeadline
    let waiter: Waiter
}

/// Where callers leave their messages. A hop to the event loop is paid for a batch, not for each.
final class SubmissionQueue: Sendable {
    private let queue = NIOLockedValueBox<[Submission]>([])
    private let lastID = Atomic<UInt64>(0)

    func nextID() -> UInt64 { lastID.add(1, ordering: .relaxed).newValue }

    /// `true` if it was the first, so that somebody must be told.
    func append(_ submission: Submission) -> Bool {
        queue.withLockedValue {
            $0.append(submission)
            return $0.count == 1
        }
    }

    func takeAll() -> [Submission] {
        queue.withLockedValue {
            let all = $0
            $0 = []
            return all
        }
    }
}
