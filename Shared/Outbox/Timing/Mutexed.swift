internal import NIOConcurrencyHelpers

/// A value behind a lock, shared by the copies of a struct. The lock is pthread's, which the thread sanitizer knows;
/// to it every access under `Synchronization.Mutex` looks like a race.
final class Mutexed<Value: Sendable>: Sendable {
    private let box: NIOLockedValueBox<Value>

    init(_ value: Value) { box = NIOLockedValueBox(value) }

    var value: Value { box.withLockedValue { $0 } }

    func update(_ change: (inout Value) -> Void) { box.withLockedValue { change(&$0) } }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result { box.withLockedValue { body(&$0) } }
}
