import NIOCore
import NIOTLS

/// Tells when TLS is up, or why it is not. A command that is written meanwhile would only meet the end of the connection.
/// Comes right behind the TLS handler.
final class SMTPHandshake: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let promise: EventLoopPromise<Void>

    init(on eventLoop: any EventLoop) { promise = eventLoop.makePromise() }

    var future: EventLoopFuture<Void> { promise.futureResult }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { promise.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.fireErrorCaught(error)
    }

    func handlerRemoved(context: ChannelHandlerContext) { promise.fail(SMTP.SMTPError.closed) }
}
