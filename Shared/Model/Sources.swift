public import FoundationEssentials

/// Where time, ids and randomness come from. The one that reads the machine lives in ServiceKit; rules take the
/// values as arguments and tests pass their own.
public struct Sources: Sendable {
    public var now: @Sendable () -> Timestamp
    public var randomUUID: @Sendable (Timestamp) -> UUID
    /// `count` unpredictable bytes, fit for tokens.
    public var randomBytes: @Sendable (_ count: Int) -> [UInt8]

    public init(
        now: @escaping @Sendable () -> Timestamp, randomUUID: @escaping @Sendable (Timestamp) -> UUID,
        randomBytes: @escaping @Sendable (_ count: Int) -> [UInt8]
    ) {
        self.now = now
        self.randomUUID = randomUUID
        self.randomBytes = randomBytes
    }

    /// A new version 7 id for `Owner` at the present time.
    public func id<Owner>(_ owner: Owner.Type = Owner.self) -> Identifier<Owner> {
        Identifier(randomUUID(now()))
    }
}
