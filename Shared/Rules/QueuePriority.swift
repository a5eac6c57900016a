public import Model

/// In which order cases that wait for a crew are served.
public struct QueuePriority: Hashable, Comparable, Sendable {
    public static let ruleVersion = 1
    /// How long an unverified emergency waits for a dispatcher or a second device before it may claim by itself.
    public static let verificationWait: Duration = .seconds(60)

    public var emergency: Bool
    public var severity: Severity
    public var verified: Bool
    public var since: Timestamp
    public var caseID: Case.ID

    public init(emergency: Bool, severity: Severity, verified: Bool, since: Timestamp, caseID: Case.ID) {
        self.emergency = emergency
        self.severity = severity
        self.verified = verified
        self.since = since
        self.caseID = caseID
    }

    /// `a < b`: a is served first. Emergencies before routine work; verified before unverified; then the more severe,
    /// the older, and the id, so that the order is total.
    public static func < (a: Self, b: Self) -> Bool {
        if a.emergency != b.emergency { return a.emergency }
        if a.verified != b.verified { return a.verified }
        if a.severity != b.severity { return a.severity > b.severity }
        if a.since != b.since { return a.since < b.since }
        return a.caseID < b.caseID
    }

    /// From when on the case may claim a crew by itself.
    public static func eligibleFrom(emergency: Bool, verified: Bool, queuedAt: Timestamp) -> (
        at: Timestamp, why: Reason?
    ) {
        guard emergency, !verified else { return (queuedAt, nil) }
        return (
            queuedAt + verificationWait,
            Reason(
                "waits_for_verification", zh: "来源未核实：等待坐席确认、第二台设备上报或 60 秒",
                en: "Unverified sender: waits for a dispatcher, a second device, or 60 seconds.")
        )
    }

    /// What a dispatcher's change of priority amounts to.
    public enum Shift: Hashable, Sendable {
        case raisedToEmergency
        case loweredFromEmergency
        case moreSevere
        case lessSevere
        case none
    }

    public static func shift(
        from old: (emergency: Bool, severity: Severity), to new: (emergency: Bool, severity: Severity)
    ) -> Shift {
        if new.emergency != old.emergency { return new.emergency ? .raisedToEmergency : .loweredFromEmergency }
        if new.severity == old.severity { return .none }
        return new.severity > old.severity ? .moreSevere : .lessSevere
    }
}
