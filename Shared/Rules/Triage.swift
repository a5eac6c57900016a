public import Model

/// Is this the same problem as one that we know? By place (within the category's radius), time (within its window
/// since the last report), category group and district. A case that is over never absorbs a report.
public enum Triage {
    public static let ruleVersion = 1

    /// A case near the report, as it is known under the cells' locks.
    public struct Site: Hashable, Sendable {
        public var caseID: Case.ID
        public var districtID: District.ID
        public var group: String
        public var place: Coordinate
        public var state: CaseState
        public var emergency: Bool
        public var severity: Severity
        public var verified: Bool
        public var lastReportAt: Timestamp
        /// When a crew said that it is solved.
        public var resolvedAt: Timestamp?
        public var closedAt: Timestamp?
        /// Devices whose reports it holds already; signed-in senders leave none.
        public var devices: Set<String>

        public init(
            caseID: Case.ID, districtID: District.ID, group: String, place: Coordinate, state: CaseState,
            emergency: Bool, severity: Severity, verified: Bool, lastReportAt: Timestamp,
            resolvedAt: Timestamp? = nil, closedAt: Timestamp? = nil, devices: Set<String> = []
        ) {
            self.caseID = caseID
            self.districtID = districtID
            self.group = group
            self.place = place
            self.state = state
            self.emergency = emergency
            self.severity = severity
            self.verified = verified
            self.lastReportAt = lastReportAt
            self.resolvedAt = resolvedAt
            self.closedAt = closedAt
            self.devices = devices
        }
    }

    public enum Outcome: Hashable, Sendable {
        case joins(Case.ID, change: Change)
        case opens(perhapsSame: Case.ID?, perhapsAgain: Case.ID?)
        /// Readings and alerts are facts, not problems.
        case noCase
    }

    /// What a joining report changes about its case.
    public struct Change: Hashable, Sendable {
        /// The case was routine and becomes an emergency, before the report counts as part of it.
        public var raisesToEmergency: Bool
        public var severity: Severity?
        /// A second device, or a sender who is known, says the same.
        public var verifies: Bool
        /// The emergency rests on the word of one unverified sender.
        public var unverifies: Bool

        public init(
            raisesToEmergency: Bool = false, severity: Severity? = nil, verifies: Bool = false,
            unverifies: Bool = false
        ) {
            self.raisesToEmergency = raisesToEmergency
            self.severity = severity
            self.verifies = verifies
            self.unverifies = unverifies
        }
    }

    public struct Decision: Hashable, Sendable {
        public var outcome: Outcome
        public var reason: Reason
        /// To the chosen case; nil if none was near.
        public var distance: Metres?

        public init(outcome: Outcome, reason: Reason, distance: Metres? = nil) {
            self.outcome = outcome
            self.reason = reason
            self.distance = distance
        }
    }

    public static func decide(_ report: ReportSnapshot, terms: CategoryTerms, sites: [Site]) -> Decision {
        guard report.kind.asksForCase else {
            return Decision(
                outcome: .noCase,
                reason: Reason("no_case_kind", zh: "监测与预警不立案", en: "Readings and alerts open no case."))
        }
        let near = sites.filter { $0.group == terms.group }
            .map { (site: $0, distance: Geodesy.distance($0.place, report.place)) }
            .filter { $0.distance <= terms.mergeRadius }
            .sorted { ($0.distance.rawValue, $0.site.caseID) < ($1.distance.rawValue, $1.site.caseID) }
        let open = near.filter { !$0.site.state.isTerminal }
        let same = open.filter {
            isSameTime(report, $0.site, terms) && $0.site.districtID == report.districtID && absorbs($0.site, report)
        }

        if report.emergency {
            return emergency(report, same: same) ?? opening(report, terms: terms, near: near, open: open)
        }
        if let match = same.first {
            return joining(report, match.site, match.distance)
        }
        return opening(report, terms: terms, near: near, open: open)
    }

    private typealias Near = (site: Site, distance: Metres)

    /// The cheap first step: an open emergency here that a crew has or that waits for one. Nil: open a new case.
    private static func emergency(_ report: ReportSnapshot, same: [Near]) -> Decision? {
        if let match = same.first(where: { $0.site.emergency }) {
            // A person at risk, or something worse than what the crew was sent for, must not wait behind it.
            if report.personAtRisk || report.severity > match.site.severity { return nil }
            return joining(report, match.site, match.distance)
        }
        guard let match = same.first else { return nil }
        return joining(report, match.site, match.distance)
    }

    private static func joining(_ report: ReportSnapshot, _ site: Site, _ distance: Metres) -> Decision {
        let otherDevice = report.deviceHash.map { !site.devices.isEmpty && !site.devices.contains($0) } ?? true
        let raises = report.emergency && !site.emergency
        let isAlone = !report.verified && !otherDevice
        let change = Change(
            raisesToEmergency: raises,
            severity: report.severity > site.severity ? report.severity : nil,
            verifies: !site.verified && !isAlone, unverifies: raises && isAlone)
        let metres = Int(distance.rawValue.rounded())
        let reason =
            raises
            ? Reason(
                "raised_by_emergency", zh: "与 \(metres) 米内的在办案件为同一问题；该案件升为紧急后并入",
                en: "The same problem as an open case \(metres) m away, which was raised to an emergency first.")
            : Reason(
                "same_problem", zh: "与 \(metres) 米内的在办案件为同一问题",
                en: "The same problem as an open case \(metres) m away.")
        return Decision(outcome: .joins(site.caseID, change: change), reason: reason, distance: distance)
    }

    private static func opening(
        _ report: ReportSnapshot, terms: CategoryTerms, near: [Near], open: [Near]
    ) -> Decision {
        if let perhaps = open.first {
            let reason: Reason
            if report.emergency && perhaps.site.emergency && isSameTime(report, perhaps.site, terms)
                && perhaps.site.districtID == report.districtID
            {
                reason = Reason(
                    "perhaps_same_but_worse", zh: "附近已有紧急案件，但本次有人员危险或更严重，单独派遣",
                    en: "An emergency is open near by, but here a person is at risk or it is worse: it claims a crew.")
            } else if perhaps.site.districtID != report.districtID {
                reason = Reason(
                    "perhaps_same_other_district", zh: "可能与相邻行政区的案件为同一问题",
                    en: "Perhaps the same as a case across the district's border.")
            } else if !absorbs(perhaps.site, report) {
                reason = Reason(
                    "perhaps_not_solved", zh: "附近案件已报完成或已挂起，单独立案",
                    en: "A case near by is said to be solved, or is suspended: this opens its own.")
            } else {
                reason = Reason(
                    "perhaps_same_long_ago", zh: "附近案件超过合并时限，可能为同一问题",
                    en: "Perhaps the same as an open case near by whose last report is too long ago.")
            }
            return Decision(
                outcome: .opens(perhapsSame: perhaps.site.caseID, perhapsAgain: nil), reason: reason,
                distance: perhaps.distance)
        }
        let again = near.first { near in
            guard near.site.state == .closed, let closedAt = near.site.closedAt else { return false }
            return report.receivedAt - closedAt <= window(terms)
        }
        if let again {
            return Decision(
                outcome: .opens(perhapsSame: nil, perhapsAgain: again.site.caseID),
                reason: Reason(
                    "perhaps_again", zh: "附近案件刚结案，可能复发；已结案件不吸收新上报",
                    en: "A case near by was closed a short time ago: perhaps it is back. Closed cases absorb nothing."),
                distance: again.distance)
        }
        return Decision(
            outcome: .opens(perhapsSame: nil, perhapsAgain: nil),
            reason: Reason("new_problem", zh: "附近没有同类在办案件", en: "No open case of this kind is near."))
    }

    /// A case that its crew has called solved takes only what was said before; a suspended one takes no emergency.
    private static func absorbs(_ site: Site, _ report: ReportSnapshot) -> Bool {
        switch site.state {
        case .verification: site.resolvedAt.map { report.receivedAt <= $0 } ?? false
        case .suspended: !report.emergency
        default: true
        }
    }

    private static func window(_ terms: CategoryTerms) -> Duration { .seconds(terms.mergeWindowMinutes * 60) }

    /// Either order: a report may be handled long after it was received.
    private static func isSameTime(_ report: ReportSnapshot, _ site: Site, _ terms: CategoryTerms) -> Bool {
        let gap = report.receivedAt - site.lastReportAt
        return gap <= window(terms) && gap >= .zero - window(terms)
    }
}
