public import Model

/// Was a case answered and handled in time (处置及时, indicator 7 of Table 1)?
public enum Timeliness: String, Codable, Sendable, CaseIterable {
    case inTime = "in_time"
    case late
    /// Neither answered and handled nor overdue yet.
    case running

    public init(_ times: CaseClocks.Times, now: Timestamp) {
        let judged: [CaseClocks.Clock] = [.respond, .resolve]
        let isLate = judged.contains { clock in
            guard let due = times.due[clock] else { return false }
            return (times.met[clock] ?? now) > due
        }
        if isLate {
            self = .late
        } else {
            self = judged.allSatisfy { times.met[$0] != nil } ? .inTime : .running
        }
    }
}
