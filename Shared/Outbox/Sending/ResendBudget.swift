/// How many messages may be sent again: the larger of 50 a second and a tenth of the present rate, so that an expired
/// lease on a great backlog does not crowd out what was never sent. Pure; time comes in as seconds passed.
struct ResendBudget: Sendable {
    private var tokens: Double = 0
    /// Sends a second, smoothed over some seconds.
    private(set) var rate: Double = 0

    var allowed: Int { Int(tokens) }

    /// - Parameters:
    ///   - elapsed: since the last call.
    ///   - sent: how many were sent for the first time meanwhile.
    mutating func advance(elapsed: Duration, sent: Int) {
        let seconds = elapsed / .seconds(1)
        guard seconds > 0 else { return }
        let weight = min(1, seconds / 3)
        rate += (Double(sent) / seconds - rate) * weight
        let perSecond = max(50, rate / 10)
        tokens = min(perSecond, tokens + perSecond * seconds)
    }

    mutating func spend(_ count: Int) { tokens = max(0, tokens - Double(count)) }
}
