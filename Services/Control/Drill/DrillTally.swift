/// What the drill's simulated people did and what was refused them.
actor DrillTally {
    private(set) var steps: [String: Int] = [:]
    /// Refusals by who and what, with how often.
    private(set) var refusals: [String: Int] = [:]
    private(set) var isOver = false

    func stepped(_ what: String) {
        steps[what, default: 0] += 1
    }

    func note(_ who: String, _ error: any Error) {
        if error is CancellationError { return }
        refusals["\(who): \(error)", default: 0] += 1
    }

    /// Everybody goes home.
    func end() {
        isOver = true
    }
}
