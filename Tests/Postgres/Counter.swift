@testable import Postgres

/// A number that several tasks add to.
final class Counter: Sendable {
    private let count = Locked(0)

    var value: Int { count.withLock { $0 } }
    func add(_ number: Int) { count.withLock { $0 += number } }
}

/// A set of numbers that several tasks add to.
final class Numbers: Sendable {
    private let numbers = Locked(Set<Int>())

    var all: Set<Int> { numbers.withLock { $0 } }
    var count: Int { numbers.withLock { $0.count } }
    func insert(_ number: Int) { numbers.withLock { _ = $0.insert(number) } }
}
