public import Model

/// What a case's new snapshot asks of notification: the difference between the snapshot that was acted on last and the
/// one that came. The event's type does not enter, so that a lost, late or repeated event changes nothing.
public enum NoticePlan {
    public enum Action: Sendable, Hashable {
        /// Every first-level contact of the street's office is told, outside and at once.
        case tellEmergency(Reason)
        /// One entry in the office's inbox; nothing goes outside.
        case tellRoutine
        /// What was told is over: open notices are withdrawn, and who was told learns why.
        case standDown(Reason)
    }

    public enum Reason: String, Sendable, Hashable, CaseIterable {
        case openedAsEmergency = "opened_as_emergency"
        case raised
        case moved
        case reopened
        case closed, merged, rejected, lowered
    }

    /// - Parameters:
    ///   - held: the snapshot acted on last; nil if the case is new here.
    ///   - new: the snapshot that came. One that is not newer than `held` asks for nothing.
    public static func actions(held: CaseSnapshot?, new: CaseSnapshot) -> [Action] {
        if let held, new.version <= held.version { return [] }
        let was = held.map(isOpenEmergency) ?? false
        let isNow = isOpenEmergency(new)
        switch (was, isNow) {
        case (false, true):
            guard let held else { return [.tellEmergency(.openedAsEmergency)] }
            return [.tellEmergency(held.state.isTerminal ? .reopened : .raised)]
        case (true, true):
            return held?.streetID == new.streetID ? [] : [.standDown(.moved), .tellEmergency(.moved)]
        case (true, false):
            return [.standDown(standDownReason(new))]
        case (false, false):
            return held == nil && !new.state.isTerminal ? [.tellRoutine] : []
        }
    }

    private static func isOpenEmergency(_ snapshot: CaseSnapshot) -> Bool {
        snapshot.emergency && !snapshot.state.isTerminal
    }

    private static func standDownReason(_ new: CaseSnapshot) -> Reason {
        switch new.state {
        case .merged: .merged
        case .rejected: .rejected
        case .closed: .closed
        default: .lowered
        }
    }
}

/// When the second level is told.
public struct EscalationTerms: Sendable, Hashable {
    /// Time to acknowledge, from the notice's creation.
    public var acknowledgeWithin: Duration
    /// The same where life is at risk.
    public var acknowledgeWithinAtRisk: Duration

    public init(acknowledgeWithin: Duration = .seconds(300), acknowledgeWithinAtRisk: Duration = .seconds(180)) {
        self.acknowledgeWithin = acknowledgeWithin
        self.acknowledgeWithinAtRisk = acknowledgeWithinAtRisk
    }

    public func due(created: Timestamp, severity: Severity) -> Timestamp {
        created + (severity == .lifeAtRisk ? acknowledgeWithinAtRisk : acknowledgeWithin)
    }
}

/// When a message that did not get through is tried again.
public enum DeliveryRetry {
    /// After so many tries a delivery has failed, with an alarm: about 50 minutes.
    public static let tries = 16

    /// The pause after try number `attempt` (1 is the first), doubling from one second to five minutes, of which between
    /// half and all is waited, so that many that failed together do not come back together.
    /// - Parameters:
    ///   - fraction: 0 … 1, random.
    ///   - retryAfter: what the other side asked for, taken up to an hour.
    /// - Returns: nil when it is given up.
    public static func pause(afterAttempt attempt: Int, fraction: Double, retryAfter: Duration? = nil) -> Duration? {
        guard attempt < tries else { return nil }
        let doubled = min(300.0, Double(1 << min(max(attempt - 1, 0), 12)))
        let pause = Duration.milliseconds(Int64(doubled * 1000 * (0.5 + 0.5 * min(max(fraction, 0), 1))))
        return max(pause, min(retryAfter ?? .zero, .seconds(3600)))
    }
}
