public import Model

/// Timely handling 处置及时率 (paper Table 1, row 7): cases answered and handled in time / all cases.
///
/// Reading: every case is unplanned and counts. Merged cases live on in another, and rejected ones were none: both count
/// on neither side. A case that is still open counts on neither side while no clock of it has run out; from then on it
/// is late for good, whatever follows. While it is suspended its clocks stand still. The arrival clock is shown with the case, but the paper asks for answer and
/// handling only.
public enum TimelyHandling {
    /// Of this rule; stored with each verdict.
    public static let version = 2

    public enum Clock: String, Sendable, Hashable, CaseIterable {
        case respond, resolve
    }

    public enum Exclusion: String, Sendable, Hashable, CaseIterable {
        case merged, rejected
        /// No clock was ever set for the case.
        case noClock = "no_clock"
    }

    public enum Verdict: Sendable, Hashable {
        case inTime
        case late(Clock, since: Timestamp)
        /// Open, and late at that time unless something happens before; nil while the clock stands still.
        case pending(Clock, lateAt: Timestamp?)
        case excluded(Exclusion)
    }

    /// What the latest facts of a case say. Time does not enter: `pending` carries the moment at which it turns late.
    public static func verdict(of facts: CaseSnapshot) -> Verdict {
        switch facts.state {
        case .merged: return .excluded(.merged)
        case .rejected: return .excluded(.rejected)
        default: break
        }
        guard facts.respondDue != nil || facts.resolveDue != nil else { return .excluded(.noClock) }

        // Who resolves has answered as well; who closes without a word of a crew has resolved.
        let resolvedAt = facts.resolvedAt ?? facts.closedAt
        let respondedAt = [facts.respondedAt, resolvedAt].compactMap(\.self).min()
        let clocks: [(clock: Clock, due: Timestamp?, met: Timestamp?)] = [
            (.respond, facts.respondDue, respondedAt), (.resolve, facts.resolveDue, resolvedAt),
        ]
        var open: (clock: Clock, due: Timestamp)?
        for case (let clock, let due?, let met) in clocks {
            if let met {
                if met > due { return .late(clock, since: due) }
            } else if facts.state == .suspended, let since = facts.suspendedAt, due <= since {
                return .late(clock, since: due)
            } else if open.map({ due < $0.due }) ?? true {
                open = (clock, due)
            }
        }
        if let open { return .pending(open.clock, lateAt: facts.state == .suspended ? nil : open.due) }
        return .inTime
    }
}

/// The bands of an indicator: points by ratio, closed below. A value of a standard version.
public struct Bands: Codable, Sendable, Hashable {
    public struct Band: Codable, Sendable, Hashable {
        /// The smallest ratio that earns the points.
        public var from: Double
        public var points: Double

        public init(from: Double, points: Double) {
            self.from = from
            self.points = points
        }
    }

    public var bands: [Band]

    public init(bands: [Band]) {
        self.bands = bands
    }

    /// The points of `part` out of `whole`; nil when there is no whole: that is no data, not a bad score.
    ///
    /// The comparison is made in whole numbers scaled by 10⁹, so that 9 of 10 reaches a band of 0.9 exactly.
    public func points(_ part: Int, of whole: Int) -> Double? {
        guard whole > 0 else { return nil }
        let reached = bands.filter { band in
            let needed = (band.from * 1_000_000_000).rounded() * Double(whole)
            return Double(part) * 1_000_000_000 >= needed
        }
        return reached.max { $0.from < $1.from }?.points
    }
}
