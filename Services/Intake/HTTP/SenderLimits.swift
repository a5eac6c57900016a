import Model
import Rules
import ServiceKit

/// How often one address may call what needs no sign-in. Wide enough for a carrier that puts thousands of people behind
/// one address; the machine's own programs, and people who are signed in, are not counted. Nor is an emergency: it only
/// counts against its sender's budget.
struct SenderLimits: Sendable {
    private let reports: RateLimiter
    private let looks = RateLimiter(rate: 200, burst: 1_000)
    /// Apart from looks: residents who follow their reports must not sign the crews out that share their address.
    private let refreshes = RateLimiter(rate: 50, burst: 500)
    private let signIns = RateLimiter(rate: 2, burst: 30)

    /// - Parameter reports: for each range of addresses.
    init(reports: RateLimiter = RateLimiter(rate: 20, burst: 200)) { self.reports = reports }

    /// For a routine report, and for what is no report.
    func report(_ sender: Sender, now: Timestamp) throws(Problem) {
        guard !sender.isSignedIn, let prefix = AddressPrefix.of(sender.address) else { return }
        try reports.require(prefix, now: now)
    }

    func look(_ context: APIContext, now: Timestamp) throws(Problem) {
        guard context.claims == nil else { return }
        try looks.require(context.client.text, now: now)
    }

    func refresh(_ context: APIContext, now: Timestamp) throws(Problem) {
        try refreshes.require(context.client.text, now: now)
    }

    func signIn(_ context: APIContext, now: Timestamp) throws(Problem) {
        guard let prefix = AddressPrefix.of(context.client.text) else { return }
        try signIns.require(prefix, now: now)
    }
}
