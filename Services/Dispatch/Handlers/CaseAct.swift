import Model
import Rules

/// What a dispatcher decides about a case.
enum CaseDecision: Sendable, Hashable {
    /// To this crew; nil: back to the queue, past the crew that has it.
    case reassign(Crew.ID?)
    case priority(emergency: Bool?, severity: Severity?)
    case merge(into: Case.ID)
    case unmerge
    case reject
    case suspend
    case resume
    case reopen
    case close
    /// 核查 of the work; for an unverified case that has none yet, of its source.
    case verify(passed: Bool)

    var name: String {
        switch self {
        case .reassign: "reassign"
        case .priority: "priority"
        case .merge: "merge"
        case .unmerge: "unmerge"
        case .reject: "reject"
        case .suspend: "suspend"
        case .resume: "resume"
        case .reopen: "reopen"
        case .close: "close"
        case .verify: "verify"
        }
    }

    /// Changes which cases may take reports, so it holds the cells as triage does.
    var movesReports: Bool {
        switch self {
        case .merge, .unmerge, .close, .reject, .reopen, .verify: true
        default: false
        }
    }

    /// What the case says of it in public; the dispatcher's own words stay with the decision.
    var reason: Reason {
        switch self {
        case .reassign: Reason("reassigned", zh: "坐席改派", en: "Reassigned by a dispatcher.")
        case .priority: Reason("priority_changed", zh: "坐席调整优先级", en: "A dispatcher changed the priority.")
        case .merge: Reason("merged", zh: "坐席并案", en: "Merged by a dispatcher.")
        case .unmerge: Reason("unmerged", zh: "坐席撤销并案", en: "The merge was taken back by a dispatcher.")
        case .reject: Reason("rejected", zh: "坐席不予立案", en: "Rejected by a dispatcher.")
        case .suspend: Reason("suspended", zh: "坐席挂起", en: "Suspended by a dispatcher.")
        case .resume: Reason("resumed", zh: "坐席恢复", en: "Resumed by a dispatcher.")
        case .reopen: Reason("reopened", zh: "坐席重开", en: "Reopened by a dispatcher.")
        case .close: Reason("closed", zh: "坐席结案", en: "Closed by a dispatcher.")
        case .verify(let passed):
            passed
                ? Reason("verified", zh: "核查通过", en: "Verified by a dispatcher.")
                : Reason("refuted", zh: "核查不通过", en: "A dispatcher found it not in order.")
        }
    }
}
