import Model
import Rules
import ServiceKit

/// How often one address may call what needs no sign-in. Wide enough for a school behind one address; the machine's own
/// programs, and people who are signed in, are not counted for reports.
struct SenderLimits: Sendable {
    private let reports = RateLimiter(rate: 20, burst: 200)
    private let looks = RateLimiter(rate: 50, burst: 200)
    private let signIns = RateLimiter(rate: 2, burst: 30)

    func report(_ context: APIContext, now: Timestamp) throws(Problem) {
        guard context.claims == nil, let prefix = AddressPrefix.of(context.client.text) else { return }
        try reports.require(prefix, now: now)
    }

    func look(_ context: APIContext, now: Timestamp) throws(Problem) {
        try looks.require(context.client.text, now: now)
    }

    func signIn(_ context: APIContext, now: Timestamp) throws(Problem) {
        guard let prefix = AddressPrefix.of(context.client.text) else { return }
        try signIns.require(prefix, now: now)
    }
}
