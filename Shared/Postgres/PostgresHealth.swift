/// How a client's connections are, as of now.
public struct PostgresHealth: Sendable, Hashable {
    /// Connected and usable, of how many wanted.
    public var sharedConnected = 0
    public var sharedWanted = 0
    public var exclusiveConnected = 0
    public var exclusiveWanted = 0
    /// Callers that wait for a connection.
    public var waiting = 0
    /// When the server last proved that it takes writes: a row was changed and committed. Monotonic.
    public var lastWrite: ContinuousClock.Instant?
    /// Why the last connection failed; nil once one has succeeded again.
    public var lastError: PostgresError?

    /// At least one connection of each kind that is wanted.
    public var isReady: Bool {
        (sharedWanted == 0 || sharedConnected > 0) && (exclusiveWanted == 0 || exclusiveConnected > 0)
    }

    /// Every connection that is wanted.
    public var isComplete: Bool { sharedConnected == sharedWanted && exclusiveConnected == exclusiveWanted }
}
