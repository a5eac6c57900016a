import NIOConcurrencyHelpers

/// Counts up from 0, for any number of callers.
final class Counter: Sendable {
    private let value = NIOLockedValueBox(0)

    /// The next number, beginning with 0.
    @discardableResult
    func next() -> Int {
        value.withLockedValue { value in
            defer { value += 1 }
            return value
        }
    }

    var count: Int { value.withLockedValue { $0 } }
}
