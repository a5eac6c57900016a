import Model
import Rules
import Testing

@Suite("Case lifecycle")
struct CaseLifecycleTests {
    /// Every allowed step; what is not here is refused.
    static let allowed: [CaseState: [CaseAct: CaseState]] = [
        .received: [.file: .filed, .reject: .rejected, .suspend: .suspended, .merge: .merged],
        .filed: [
            .reject: .rejected, .dispatch: .dispatched, .close: .closed, .suspend: .suspended, .merge: .merged,
        ],
        .dispatched: [
            .reject: .rejected, .dispatch: .dispatched, .release: .filed, .start: .handling, .finish: .verification,
            .close: .closed, .suspend: .suspended, .merge: .merged,
        ],
        .handling: [.release: .filed, .start: .handling, .finish: .verification],
        .verification: [.verify: .closed, .refute: .reopened, .reopen: .reopened, .close: .closed],
        .closed: [.reopen: .reopened],
        .reopened: [
            .reject: .rejected, .dispatch: .dispatched, .close: .closed, .suspend: .suspended, .merge: .merged,
        ],
        .merged: [.unmerge: .filed],
        .rejected: [.reopen: .reopened],
        .suspended: [.reject: .rejected, .close: .closed, .resume: .filed, .merge: .merged],
    ]

    @Test("Every act in every state gives the state of the table, or a reason why not", arguments: CaseState.allCases)
    func table(state: CaseState) {
        for act in CaseAct.allCases {
            switch (CaseLifecycle.next(after: act, in: state), Self.allowed[state]?[act]) {
            case (.success(let next), let wanted): #expect(next == wanted, "\(state) + \(act)")
            case (.failure(let refusal), nil):
                #expect(!refusal.reason.code.isEmpty && !refusal.reason.zh.isEmpty && !refusal.reason.en.isEmpty)
            case (.failure, .some): Issue.record("\(state) + \(act) is refused")
            }
        }
    }

    @Test("A started job is not taken away, and says so", arguments: [CaseAct.reject, .close, .suspend, .merge])
    func started(act: CaseAct) {
        let refusal = #expect(throws: Refusal.self) { try CaseLifecycle.next(after: act, in: .handling).get() }
        #expect(refusal?.reason.code == "started_job_stays")
    }

    @Test("What was set aside comes back without a crew")
    func former() throws {
        #expect(try CaseLifecycle.next(after: .resume, in: .suspended, former: .reopened).get() == .reopened)
        #expect(try CaseLifecycle.next(after: .resume, in: .suspended, former: .dispatched).get() == .filed)
        #expect(try CaseLifecycle.next(after: .unmerge, in: .merged, former: .reopened).get() == .reopened)
        #expect(try CaseLifecycle.next(after: .unmerge, in: .merged, former: .suspended).get() == .filed)
    }

    @Test("Only reopening and unmerging lead out of a state that is over")
    func terminal() {
        for state in CaseState.allCases where state.isTerminal {
            for act in CaseAct.allCases where act != .reopen && act != .unmerge {
                #expect(throws: Refusal.self) { try CaseLifecycle.next(after: act, in: state).get() }
            }
        }
    }
}

@Suite("Order lifecycle")
struct OrderLifecycleTests {
    static let allowed: [OrderState: [OrderAct: OrderState]] = [
        .planned: [
            .accept: .accepted, .enRoute: .enRoute, .onSite: .onSite, .decline: .declined, .withdraw: .withdrawn,
        ],
        .assigned: [
            .accept: .accepted, .enRoute: .enRoute, .onSite: .onSite, .decline: .declined, .withdraw: .withdrawn,
            .silence: .silent,
        ],
        .accepted: [.enRoute: .enRoute, .onSite: .onSite, .decline: .declined, .withdraw: .withdrawn],
        .enRoute: [.onSite: .onSite, .done: .done, .decline: .declined],
        .onSite: [.done: .done, .decline: .declined],
        .done: [:], .declined: [:], .withdrawn: [:], .silent: [:],
    ]

    @Test("Every act in every state gives the state of the table, or a reason why not", arguments: OrderState.allCases)
    func table(state: OrderState) {
        for act in OrderAct.allCases {
            switch (OrderLifecycle.next(after: act, in: state), Self.allowed[state]?[act]) {
            case (.success(let next), let wanted): #expect(next == wanted, "\(state) + \(act)")
            case (.failure(let refusal), nil): #expect(!refusal.reason.code.isEmpty)
            case (.failure, .some): Issue.record("\(state) + \(act) is refused")
            }
        }
    }

    @Test("Nobody but the crew ends a started job", arguments: [OrderState.enRoute, .onSite])
    func started(state: OrderState) {
        let refusal = #expect(throws: Refusal.self) { try OrderLifecycle.next(after: .withdraw, in: state).get() }
        #expect(refusal?.reason.code == "started_job_stays")
        #expect(throws: Refusal.self) { try OrderLifecycle.next(after: .silence, in: state).get() }
    }

    @Test("An order that is over stays over")
    func over() {
        for state in OrderState.allCases where state.isReleased {
            for act in OrderAct.allCases {
                #expect(throws: Refusal.self) { try OrderLifecycle.next(after: act, in: state).get() }
            }
        }
    }
}
