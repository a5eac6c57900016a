/// What became of a message, as the one who brought it must know.
enum Fate: Sendable {
    /// Its effects are in the database, now or before; or it is a dead letter, or parked. The broker may forget it.
    case settled
    /// For the next batch.
    case deferred
    /// A lane's event failed on its own; `isBlameless` says that it was not its fault.
    case failed(reason: String, isBlameless: Bool)
    /// The database is away: nothing happened to the message.
    case unreachable
}
