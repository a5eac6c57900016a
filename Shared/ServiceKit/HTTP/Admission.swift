import Synchronization

/// How much routine work this process takes on at a time: a share of the maximum that follows the lane's pressure, never
/// less than the floor. What is over is shed at once with 429, so that emergencies, which are never asked, find room.
public final class Admission: Sendable {
    public let maximum: Int
    public let floor: Int
    /// 0 (the lane is late: routine work only to the floor) to 1.
    private let share: @Sendable () -> Double
    private let underWay = Mutex(0)

    public init(maximum: Int, floor: Int, share: @escaping @Sendable () -> Double) {
        self.maximum = max(maximum, 1)
        self.floor = min(max(floor, 1), max(maximum, 1))
        self.share = share
    }

    /// Routine requests that may be under way now.
    public var limit: Int {
        floor + Int(Double(maximum - floor) * min(max(share(), 0), 1))
    }

    /// Does routine work if there is room for it. Throws a `Problem` (429) with `Retry-After` if there is none.
    public func routine<T>(_ work: () async throws -> T) async throws -> T {
        let limit = limit
        let isAdmitted = underWay.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        guard isAdmitted else { throw Problem.tooMany(retryAfter: 2) }
        defer { underWay.withLock { $0 -= 1 } }
        return try await work()
    }
}
