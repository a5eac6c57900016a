public import Model

/// How many routine reports a second an instance takes while the emergency lane needs room. Emergencies never ask.
///
/// The rate is `floor + share × (maximum − floor)`, where share sinks as the lane's pressure rises; the floor keeps
/// routine work moving. A bucket of one second's worth smooths bursts.
public struct RoutineAdmission: Sendable {
    /// Reports a second at share 1.
    public var maximum: Double
    /// Reports a second at share 0.
    public var floor: Double

    private var tokens: Double
    private var refilled: Timestamp?

    public init(maximum: Double, floor: Double) {
        self.maximum = max(maximum, floor)
        self.floor = floor
        self.tokens = max(maximum, floor)
    }

    public enum Verdict: Sendable, Hashable {
        case admitted
        /// Come back after so many whole seconds, at least 1.
        case shed(retryAfterSeconds: Int)
    }

    public func rate(share: Double) -> Double {
        floor + min(1, max(0, share)) * (maximum - floor)
    }

    public mutating func decide(share: Double, now: Timestamp) -> Verdict {
        let rate = rate(share: share)
        let elapsed = refilled.map { max(0, (now - $0).inSeconds) } ?? 0
        refilled = max(now, refilled ?? now)
        tokens = min(max(rate, 1), tokens + elapsed * rate)
        if tokens >= 1 {
            tokens -= 1
            return .admitted
        }
        // Nobody is told to come back at the very moment when everybody else does: the wait grows as the rate sinks.
        let wait = rate > 0 ? (1 + (1 - min(1, max(0, share))) * 29).rounded(.up) : 30
        return .shed(retryAfterSeconds: max(1, Int(wait)))
    }
}
