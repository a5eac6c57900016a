import Synchronization

/// Counts up from 0, for any number of callers.
final class Counter: Sendable {
    private let value = Mutex(0)

    /// The next number, beginning with 0.
    @discardableResult
    func next() -> Int {
        value.withLock { value in
            defer { value += 1 }
            return value
        }
    }

    var count: Int { value.withLock { $0 } }
}
