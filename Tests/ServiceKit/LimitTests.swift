import HTTPTypes
import Model
import Synchronization
import Testing

@testable import ServiceKit

@Suite struct LimitTests {
    @Test func `a sender may save up a burst and is then held to the rate`() throws {
        let limiter = RateLimiter(rate: 2, burst: 3)
        var now = Harness.start
        for _ in 0..<3 { #expect(limiter.take("a", now: now) == nil) }
        #expect(limiter.take("a", now: now) == 1)
        #expect(limiter.take("b", now: now) == nil)
        now = now + .milliseconds(500)
        #expect(limiter.take("a", now: now) == nil)
        #expect(limiter.take("a", now: now) == 1)
        let problem = #expect(throws: Problem.self) { try limiter.require("a", cost: 3, now: now) }
        #expect(problem?.headers[.retryAfter] == "2")
    }

    @Test func `a clock that is set back neither gives nor takes`() {
        let limiter = RateLimiter(rate: 1, burst: 1)
        #expect(limiter.take("a", now: Harness.start) == nil)
        #expect(limiter.take("a", now: Harness.start - .seconds(3_600)) != nil)
        #expect(limiter.take("a", now: Harness.start - .seconds(3_599)) == nil)
    }

    @Test func `a million senders take no more memory than it was given, and the greedy stay remembered`() {
        let limiter = RateLimiter(rate: 0.001, burst: 2, capacity: 100)
        for _ in 0..<2 { _ = limiter.take("greedy", now: Harness.start) }
        for number in 0..<2_000 { _ = limiter.take("sender \(number)", now: Harness.start) }
        #expect(limiter.remembered <= 100)
        #expect(limiter.take("greedy", now: Harness.start) != nil)
    }

    @Test func `routine work is held to the lane's share and never below the floor`() async throws {
        let share = Mutex(1.0)
        let admission = Admission(maximum: 4, floor: 1) { share.withLock { $0 } }
        #expect(admission.limit == 4)
        share.withLock { $0 = 0 }
        #expect(admission.limit == 1)
        share.withLock { $0 = 7 }
        #expect(admission.limit == 4)
        share.withLock { $0 = 0 }
        let problem = try await admission.routine {
            await #expect(throws: Problem.self) { try await admission.routine { "over the limit" } }
        }
        #expect(problem?.status == .tooManyRequests)
        #expect(try await admission.routine { "again" } == "again")
    }
}
