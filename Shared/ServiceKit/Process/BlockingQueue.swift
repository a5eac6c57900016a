import Dispatch
import Synchronization

/// Runs calls that block (files, slow arithmetic) beside the threads that serve requests, `width` at a time and at most
/// `capacity` waiting.
public final class BlockingQueue: Sendable {
    /// More are waiting than is sensible; come back in a few seconds.
    public struct Busy: Error {}

    private let queues: [DispatchQueue]
    private let state = Mutex((waiting: 0, next: 0))
    private let capacity: Int

    public init(_ label: String, width: Int = 1, capacity: Int) {
        self.queues = (0..<width).map { DispatchQueue(label: "\(label).\($0)", qos: .utility) }
        self.capacity = capacity
    }

    public func run<Success: Sendable>(_ work: @escaping @Sendable () throws -> Success) async throws -> Success {
        let queue: DispatchQueue? = state.withLock { state in
            guard state.waiting < capacity else { return nil }
            state.waiting += 1
            state.next = (state.next + 1) % queues.count
            return queues[state.next]
        }
        guard let queue else { throw Busy() }
        defer { state.withLock { $0.waiting -= 1 } }
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try work() }) }
        }
    }
}
