import ServiceKit

/// Does the slow work of passwords, one at a time and out of everybody's way: never more than one core and 32 MB,
/// however many sign in. More than `capacity` waiting are turned away at once.
public final class PasswordThread: Sendable {
    /// Too many are waiting; come back in a few seconds.
    public struct Busy: Error {}

    private let queue: BlockingQueue
    private let cost: PasswordHash.Cost

    public convenience init(capacity: Int = 32) { self.init(capacity: capacity, cost: .standard) }

    init(capacity: Int, cost: PasswordHash.Cost) {
        self.queue = BlockingQueue("sluice.passwords", capacity: capacity)
        self.cost = cost
    }

    /// - Parameter salt: 16 unpredictable bytes.
    public func hash(_ password: String, salt: [UInt8]) async throws -> PasswordHash {
        try await run { [cost] in try PasswordHash(password: password, salt: salt, cost: cost) }
    }

    /// Without a stored hash the same work is done for nothing, so that time does not tell whether an account exists.
    func matches(_ password: String, _ stored: PasswordHash?) async throws -> Bool {
        try await run { [cost] in
            guard let stored else {
                _ = try PasswordHash(password: password, salt: [UInt8](repeating: 0, count: 16), cost: cost)
                return false
            }
            return try stored.matches(password)
        }
    }

    private func run<Success: Sendable>(_ work: @escaping @Sendable () throws -> Success) async throws -> Success {
        do {
            return try await queue.run(work)
        } catch is BlockingQueue.Busy {
            throw Busy()
        }
    }
}
