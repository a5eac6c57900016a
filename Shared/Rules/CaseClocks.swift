public import Model

/// Until when somebody must have responded, arrived and resolved; by category, version of the category and storm level.
public enum CaseClocks {
    public static let ruleVersion = 2

    public enum Clock: String, Codable, Sendable, CaseIterable {
        case respond, arrive, resolve

        var zh: String {
            switch self {
            case .respond: "响应"
            case .arrive: "到场"
            case .resolve: "处置"
            }
        }
    }

    /// When each is due, and when each was met.
    public struct Times: Hashable, Sendable {
        public var openedAt: Timestamp
        public var due: [Clock: Timestamp]
        public var met: [Clock: Timestamp]

        public init(openedAt: Timestamp, due: [Clock: Timestamp] = [:], met: [Clock: Timestamp] = [:]) {
            self.openedAt = openedAt
            self.due = due
            self.met = met
        }
    }

    public static func minutes(_ terms: CategoryTerms, storm: StormLevel) -> ClockMinutes {
        storm != .none && storm >= terms.stormFrom ? terms.stormClocks : terms.clocks
    }

    /// - Parameter paused: how long the case was suspended in all; suspended time counts for nobody.
    public static func due(
        openedAt: Timestamp, terms: CategoryTerms, storm: StormLevel, paused: Duration = .zero
    ) -> [Clock: Timestamp] {
        let minutes = minutes(terms, storm: storm)
        func at(_ minutes: Int) -> Timestamp { openedAt + .seconds(minutes * 60) + paused }
        return [.respond: at(minutes.respond), .arrive: at(minutes.arrive), .resolve: at(minutes.resolve)]
    }

    /// What a change of storm level, category or pause makes of the clocks. One that was met keeps the time it was
    /// held to, and one that had run out by `asOf` stays run out: late is late. An open one gets the new time.
    /// - Parameter asOf: when the change happened, or the pause began; nil if the case itself is told anew.
    public static func recomputed(
        _ times: Times, terms: CategoryTerms, storm: StormLevel, paused: Duration = .zero, asOf: Timestamp?
    ) -> [Clock: Timestamp] {
        let new = due(openedAt: times.openedAt, terms: terms, storm: storm, paused: paused)
        let settled = times.due.filter { clock, due in times.met[clock] != nil || asOf.map { due <= $0 } ?? false }
        return new.merging(settled) { _, held in held }
    }

    /// The next clock that can run out, and when; nil if all were met.
    public static func next(_ times: Times) -> (clock: Clock, at: Timestamp)? {
        Clock.allCases
            .compactMap { clock in
                times.met[clock] == nil ? times.due[clock].map { (clock: clock, at: $0) } : nil
            }
            .min { ($0.at, $0.clock.rawValue) < ($1.at, $1.clock.rawValue) }
    }

    /// Which clocks ran out unmet.
    public static func overdue(_ times: Times, now: Timestamp) -> [Clock] {
        Clock.allCases.filter { clock in
            guard let due = times.due[clock], due <= now else { return false }
            return times.met[clock] == nil
        }
    }

    public static func overdueReason(_ clock: Clock) -> Reason {
        Reason(
            "overdue_\(clock.rawValue)", zh: "超过\(clock.zh)时限", en: "Not \(past[clock] ?? "") in time.")
    }

    /// An observation that came late showed that the clock had been met.
    public static func withdrawalReason(_ clock: Clock) -> Reason {
        Reason(
            "late_observation_\(clock.rawValue)", zh: "补传的现场记录表明\(clock.zh)未超时，撤销超时标记",
            en: "An observation that came late shows that this clock was met; the mark is withdrawn.")
    }

    private static let past: [Clock: String] = [
        .respond: "responded to", .arrive: "reached", .resolve: "resolved",
    ]
}
