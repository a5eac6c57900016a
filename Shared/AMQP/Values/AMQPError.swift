/// Why something asked of the broker did not happen. Carries no credentials and no message contents.
public struct AMQPError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// No connection could be made: address, TLS or time.
        case cannotConnect
        /// The broker refused user, password or virtual host.
        case accessRefused
        /// The broker closed the connection.
        case connectionClosedByPeer(code: UInt16)
        /// The connection ended without a farewell, or was closed by this side.
        case connectionLost
        /// Two heartbeat intervals passed without a byte.
        case silence
        /// The broker closed the channel.
        case channelClosedByPeer(code: UInt16)
        /// The channel was closed by this side.
        case channelClosed
        /// What is declared at the broker differs from what this side declares.
        case topologyMismatch
        /// The other end broke the protocol.
        case protocolViolation
        /// What was asked cannot be encoded.
        case unencodable
        /// The broker did not answer in time.
        case timeout
        /// There is no connection at the moment.
        case notConnected
        /// The broker is under an alarm and reads nothing from this connection.
        case blocked
    }

    public var kind: Kind
    public var reason: String

    public var description: String { reason }

    init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }

    static let blocked = AMQPError(.blocked, "the broker is under an alarm and reads nothing from this connection")

    static func violation(_ reason: String) -> AMQPError { AMQPError(.protocolViolation, reason) }
}
