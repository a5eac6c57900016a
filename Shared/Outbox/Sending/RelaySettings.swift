/// The bounds of a relay.
public struct RelaySettings: Sendable {
    /// Events of one relay that the broker has not confirmed.
    public var maxUnconfirmed = 500
    /// Rows of one claim.
    public var batch = 100
    /// Ready messages in the fullest acting queue beyond which routine events wait in the database.
    public var maxReady = 5_000
    /// How long a claimed row is its claimer's: above the bound of a publish's outcome.
    public var routineLease = Duration.seconds(15)
    public var emergencyLease = Duration.seconds(12)
    /// How often a relay looks when nobody wakes it.
    public var routinePoll = Duration.milliseconds(250)
    public var emergencyPoll = Duration.milliseconds(250)
    /// How often expired leases are looked for.
    public var resendPoll = Duration.milliseconds(500)
    /// How long a routine relay lets rows gather after a claim that was not full: fewer, larger claims under load.
    public var linger = Duration.milliseconds(10)

    public init() {}
}
