public import Model

/// What can happen to a case.
public enum CaseAct: Hashable, Sendable, CaseIterable {
    /// 立案: somebody, or the triage rule, decided that this is a problem to solve.
    case file
    /// 派遣: a crew has it.
    case dispatch
    /// The crew no longer has it, and it is not solved.
    case release
    /// 处置: the crew is at work.
    case start
    /// The crew says that it is solved.
    case finish
    /// 核查 passed.
    case verify
    /// 核查 failed.
    case refute
    case close
    case reject
    case suspend
    case resume
    case reopen
    case merge
    case unmerge
}

/// The flow of GB/T 30428's family (受理 → 立案 → 派遣 → 处置 → 核查 → 结案) with its side tracks. A transition returns
/// the new state, or the reason why not.
public enum CaseLifecycle {
    public static let ruleVersion = 1

    /// - Parameter former: the state that a suspended or merged case had before; ignored otherwise.
    public static func next(
        after act: CaseAct, in state: CaseState, former: CaseState? = nil
    ) -> Result<CaseState, Refusal> {
        switch (state, act) {
        case (.received, .file): .success(.filed)
        case (.received, .reject), (.filed, .reject), (.dispatched, .reject), (.reopened, .reject),
            (.suspended, .reject):
            .success(.rejected)
        case (.filed, .dispatch), (.reopened, .dispatch), (.dispatched, .dispatch): .success(.dispatched)
        case (.dispatched, .release), (.handling, .release): .success(.filed)
        case (.dispatched, .start), (.handling, .start): .success(.handling)
        // A phone without signal can send the end before the server has heard of the start.
        case (.dispatched, .finish), (.handling, .finish): .success(.verification)
        case (.verification, .verify): .success(.closed)
        case (.verification, .refute), (.verification, .reopen), (.closed, .reopen), (.rejected, .reopen):
            .success(.reopened)
        case (.filed, .close), (.reopened, .close), (.dispatched, .close), (.verification, .close),
            (.suspended, .close):
            .success(.closed)
        case (.received, .suspend), (.filed, .suspend), (.dispatched, .suspend), (.reopened, .suspend):
            .success(.suspended)
        case (.suspended, .resume): .success(resumed(former))
        case (.received, .merge), (.filed, .merge), (.dispatched, .merge), (.reopened, .merge),
            (.suspended, .merge):
            .success(.merged)
        case (.merged, .unmerge): .success(resumed(former))
        default: .failure(refusal(of: act, in: state))
        }
    }

    /// A case never comes back as dispatched or handling: its crew was released when it went aside.
    private static func resumed(_ former: CaseState?) -> CaseState {
        switch former {
        case .reopened: .reopened
        case .received: .received
        default: .filed
        }
    }

    private static func refusal(of act: CaseAct, in state: CaseState) -> Refusal {
        if state == .handling, [.reject, .close, .suspend, .merge, .dispatch].contains(act) {
            return Refusal(
                Reason(
                    "started_job_stays", zh: "班组已开始处置，不能中途收回；请等待完成或由班组退回",
                    en: "The crew has started; the job is not taken away. Wait until it is done or handed back."))
        }
        if state.isTerminal {
            return Refusal(
                Reason(
                    "case_is_over", zh: "案件处于终态（\(state.rawValue)），不能执行该操作",
                    en: "The case is over (\(state.rawValue)), so this is not possible."))
        }
        return Refusal(
            Reason(
                "not_in_this_state", zh: "案件当前状态为 \(state.rawValue)，不能执行该操作",
                en: "Not possible while the case is \(state.rawValue)."))
    }
}

/// Why an act is not possible.
public struct Refusal: Error, Hashable, Sendable {
    public var reason: Reason
    public init(_ reason: Reason) { self.reason = reason }
}
