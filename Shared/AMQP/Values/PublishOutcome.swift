/// What became of a publish.
public enum PublishOutcome: Sendable, Hashable {
    /// The broker has taken responsibility for the message.
    case confirmed
    /// The message is certainly in no queue: the broker refused or returned it, or it could not be sent at all as it is.
    case refused(reason: String)
    /// Nobody knows: the connection or channel ended, the broker is away or blocked, or no answer came in time. Send it
    /// again under the same message id.
    case unknown
}
