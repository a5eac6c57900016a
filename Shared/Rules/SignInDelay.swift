public import Model

/// How long one must wait after failed sign-ins, for an account's name and for an address. The first slips cost nothing;
/// then the wait doubles. It never locks anybody out for good: that would be a weapon against the account's owner.
public struct SignInDelay: Sendable, Hashable {
    /// Failures without a wait.
    public var free: Int
    public var first: Duration
    public var longest: Duration
    /// Failures older than this are forgotten.
    public var memory: Duration

    public init(free: Int, first: Duration, longest: Duration, memory: Duration) {
        self.free = free
        self.first = first
        self.longest = longest
        self.memory = memory
    }

    public static let account = SignInDelay(
        free: 3, first: .seconds(1), longest: .seconds(300), memory: .seconds(86_400))
    /// Wider: an office is many people behind one address.
    public static let address = SignInDelay(
        free: 20, first: .seconds(1), longest: .seconds(60), memory: .seconds(3_600))

    /// The wait after so many failures.
    public func wait(failures: Int) -> Duration {
        guard failures > free else { return .zero }
        let doublings = min(failures - free - 1, 20)
        return min(longest, .microseconds(first.microseconds << Int64(doublings)))
    }

    /// What an attempt leaves behind if it fails; an attempt counts as failed from its beginning, so that a hundred at
    /// once are not one.
    public func afterAttempt(failures: Int, last: Timestamp?, now: Timestamp) -> (failures: Int, notBefore: Timestamp) {
        let remembered = last.map { now - $0 <= memory } ?? false ? failures : 0
        return (remembered + 1, now + wait(failures: remembered + 1))
    }
}
