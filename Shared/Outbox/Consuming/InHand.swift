internal import FoundationEssentials

/// The events that this process is working on, so that the lane's two ways do not both take one.
final class InHand: Sendable {
    private let keys = Mutexed<[InboxKey: Int]>([:])

    func add(_ added: [InboxKey]) {
        keys.withLock { keys in for key in added { keys[key, default: 0] += 1 } }
    }

    func remove(_ removed: [InboxKey]) {
        keys.withLock { keys in
            for key in removed {
                guard let count = keys[key] else { continue }
                keys[key] = count > 1 ? count - 1 : nil
            }
        }
    }

    /// Those of one source.
    func events(of source: String) -> [UUID] {
        keys.withLock { keys in keys.keys.filter { $0.source == source }.map(\.eventID) }
    }
}
