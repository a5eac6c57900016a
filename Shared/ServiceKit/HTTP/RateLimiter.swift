public import Model
import Synchronization

/// A token bucket for each sender, in bounded memory.
///
/// When there is no room for a new sender, buckets that are full again are forgotten (which changes nothing for them); if
/// there are none, the fullest goes: who has used least loses least.
public final class RateLimiter: Sendable {
    private struct Bucket {
        var tokens: Double
        var at: Timestamp
    }

    /// Tokens a second.
    public let rate: Double
    /// Tokens that a sender can save up.
    public let burst: Double
    /// Senders that are remembered.
    public let capacity: Int
    private let buckets = Mutex<[String: Bucket]>([:])

    public init(rate: Double, burst: Double, capacity: Int = 4_096) {
        self.rate = max(rate, 0.000_001)
        self.burst = max(burst, 1)
        self.capacity = max(capacity, 1)
    }

    /// Takes `cost` tokens. Nil if there were enough, else the whole seconds until there are.
    public func take(_ sender: String, cost: Double = 1, now: Timestamp) -> Int? {
        buckets.withLock { buckets in
            var bucket = buckets[sender] ?? Bucket(tokens: burst, at: now)
            refill(&bucket, now)
            defer {
                if buckets[sender] == nil, buckets.count >= capacity { makeRoom(&buckets, now) }
                buckets[sender] = bucket
            }
            guard bucket.tokens >= cost else {
                return max(1, Int(((cost - bucket.tokens) / rate).rounded(.up)))
            }
            bucket.tokens -= cost
            return nil
        }
    }

    /// The same; throws a `Problem` (429) with `Retry-After` if there are not enough.
    public func require(_ sender: String, cost: Double = 1, now: Timestamp) throws(Problem) {
        if let seconds = take(sender, cost: cost, now: now) { throw .tooMany(retryAfter: seconds) }
    }

    var remembered: Int { buckets.withLock { $0.count } }

    private func refill(_ bucket: inout Bucket, _ now: Timestamp) {
        // A clock that was set back gives nothing and takes nothing.
        let elapsed = max(0, Double(now.microseconds - bucket.at.microseconds) / 1_000_000)
        bucket.tokens = min(burst, bucket.tokens + elapsed * rate)
        bucket.at = now
    }

    private func makeRoom(_ buckets: inout [String: Bucket], _ now: Timestamp) {
        var fullest: (key: String, tokens: Double)?
        for (key, bucket) in buckets {
            var refilled = bucket
            refill(&refilled, now)
            if fullest.map({ refilled.tokens > $0.tokens }) ?? true { fullest = (key, refilled.tokens) }
        }
        buckets = buckets.filter { _, bucket in
            var refilled = bucket
            refill(&refilled, now)
            return refilled.tokens < burst
        }
        if buckets.count >= capacity, let fullest { buckets[fullest.key] = nil }
    }
}
