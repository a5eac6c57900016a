public import NIOCore

/// What a publisher's or consumer's connection is doing.
public enum ConnectionState: Sendable, Hashable {
    /// No usable connection; `reason` is a sentence without secrets.
    case disconnected(reason: String)
    /// Connected, and everything that lives on the connection is restored.
    case connected
    /// Connected, but the broker accepts no publishes (memory or disk alarm). Acknowledgements go on.
    case blocked(reason: String, since: NIODeadline)

    public var isConnected: Bool {
        if case .disconnected = self { false } else { true }
    }

    public var isBlocked: Bool {
        if case .blocked = self { true } else { false }
    }
}
