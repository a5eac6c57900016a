public import Model

/// What can happen to a work order. Raw values are what a phone sends and what `order_step.kind` says.
public enum OrderAct: String, Hashable, Sendable, CaseIterable, Codable {
    case accept
    case decline
    case enRoute = "en_route"
    case onSite = "on_site"
    case done
    /// The dispatcher or the system takes it back.
    case withdraw
    /// The crew did not answer in time.
    case silence

    /// The acts that a crew reports; the others are the server's own.
    public static let crewActs: [OrderAct] = [.accept, .decline, .enRoute, .onSite, .done]
}

public enum OrderLifecycle {
    public static let ruleVersion = 1

    /// The new state, or the reason why not. Steps may be skipped forwards (a phone that lost a step still tells the
    /// later one), never backwards.
    public static func next(after act: OrderAct, in state: OrderState) -> Result<OrderState, Refusal> {
        switch (state, act) {
        case (.planned, .accept), (.assigned, .accept): .success(.accepted)
        case (.planned, .enRoute), (.assigned, .enRoute), (.accepted, .enRoute): .success(.enRoute)
        case (.planned, .onSite), (.assigned, .onSite), (.accepted, .onSite), (.enRoute, .onSite): .success(.onSite)
        case (.enRoute, .done), (.onSite, .done): .success(.done)
        // Only the crew itself hands a started job back.
        case (.planned, .decline), (.assigned, .decline), (.accepted, .decline), (.enRoute, .decline),
            (.onSite, .decline):
            .success(.declined)
        case (.planned, .withdraw), (.assigned, .withdraw), (.accepted, .withdraw): .success(.withdrawn)
        case (.assigned, .silence): .success(.silent)
        default: .failure(refusal(of: act, in: state))
        }
    }

    private static func refusal(of act: OrderAct, in state: OrderState) -> Refusal {
        switch (state, act) {
        case (.enRoute, .withdraw), (.onSite, .withdraw):
            Refusal(
                Reason(
                    "started_job_stays", zh: "班组已出发或到场，工单不收回",
                    en: "The crew is on its way or on site; a started job is never taken away."))
        case (.done, _), (.declined, _), (.withdrawn, _), (.silent, _):
            Refusal(
                Reason(
                    "order_is_over", zh: "工单已结束（\(state.rawValue)）",
                    en: "The order is over (\(state.rawValue))."))
        case (_, .done):
            Refusal(Reason("not_started", zh: "尚未开始的工单不能完成", en: "An order that was not started cannot be done."))
        case (_, .silence):
            Refusal(Reason("crew_has_answered", zh: "班组已应答", en: "The crew has answered."))
        default:
            Refusal(
                Reason(
                    "already_further", zh: "工单已处于 \(state.rawValue)，不倒退",
                    en: "The order is already \(state.rawValue); steps are not taken back."))
        }
    }
}
