/// How hard the emergency lane is pressed, from 0 (idle) to 1 (at its bound). Every service gives routine work less
/// the higher it is.
public enum LanePressure {
    public static let ruleVersion = 1

    /// Milliseconds of the lane's own time; waiting for a free crew or for verification is not among them.
    public struct Reading: Hashable, Sendable {
        /// Worst of the last 5 s: accepted → committed, and claimable → claimed.
        public var worst: Double
        /// Age of the oldest emergency that a named inbox lacks.
        public var oldestWaiting: Double
        /// The canary's last round.
        public var canary: Double?

        public init(worst: Double, oldestWaiting: Double, canary: Double? = nil) {
            self.worst = worst
            self.oldestWaiting = oldestWaiting
            self.canary = canary
        }
    }

    /// - Parameters:
    ///   - calm: up to here there is no pressure at all, in milliseconds.
    ///   - bound: from here on it is 1.
    public static func pressure(_ reading: Reading, calm: Double, bound: Double) -> Double {
        let worst = max(reading.worst, reading.oldestWaiting, reading.canary ?? 0)
        guard worst.isFinite else { return 1 }
        return min(1, max(0, (worst - calm) / max(1, bound - calm)))
    }
}
