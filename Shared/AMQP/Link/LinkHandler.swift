import NIOCore
import NIOSSL

/// The end of the NIO pipeline: passes bytes to the connection and its end back.
final class LinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: AMQPConnection

    init(connection: AMQPConnection) {
        self.connection = connection
    }

    /// A host with several addresses is tried on several transports; the first that comes alive is the connection's.
    func channelActive(context: ChannelHandlerContext) {
        connection.transportActive(context.channel)
    }

    private func isCurrent(_ context: ChannelHandlerContext) -> Bool { connection.transport === context.channel }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard isCurrent(context) else { return }
        connection.received(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection.readComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard isCurrent(context) else { return }
        connection.fail(AMQPError(transport: error))
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard isCurrent(context) else { return }
        connection.fail(AMQPError(.connectionLost, "the connection was lost"))
    }
}

extension AMQPError {
    /// What the transport says, as this module's error.
    init(transport error: any Error) {
        switch error {
        case let error as AMQPError: self = error
        case let error as NIOSSLExtraError: self.init(.cannotConnect, "TLS: \(error)")
        case let error as NIOSSLError: self.init(.cannotConnect, "TLS: \(error)")
        case let error as ChannelError: self.init(.connectionLost, "\(error)")
        case let error as IOError: self.init(.connectionLost, "\(error)")
        default: self.init(.connectionLost, "\(error)")
        }
    }
}
