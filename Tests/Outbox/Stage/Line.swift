import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A line between a client and a server that a test can cut, restore, or make deaf in one direction.
final class Line: Sendable {
    enum State: Sendable {
        case whole
        /// Open connections end, new ones are refused at once.
        case cut
        /// What the server says is swallowed: the client's words arrive, the answers don't.
        case mute
    }

    private let server: any Channel
    private let state: NIOLockedValueBox<State>
    private let open: NIOLockedValueBox<[ObjectIdentifier: any Channel]>

    var port: Int { server.localAddress?.port ?? 0 }

    static func open(to port: Int) async throws -> Line {
        let state = NIOLockedValueBox(State.whole)
        let open = NIOLockedValueBox<[ObjectIdentifier: any Channel]>([:])
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                guard state.withLockedValue({ $0 != .cut }) else { return client.close() }
                open.withLockedValue { $0[ObjectIdentifier(client)] = client }
                client.closeFuture.whenComplete { _ in
                    open.withLockedValue { _ = $0.removeValue(forKey: ObjectIdentifier(client)) }
                }
                return ClientBootstrap(group: client.eventLoop)
                    .channelInitializer { remote in
                        client.eventLoop.makeCompletedFuture {
                            try client.pipeline.syncOperations.addHandler(Forward(to: remote, state: nil))
                            try remote.pipeline.syncOperations.addHandler(Forward(to: client, state: state))
                        }
                    }
                    .connect(host: "127.0.0.1", port: port)
                    .flatMap { _ in client.setOption(.autoRead, value: true) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return Line(server: server, state: state, open: open)
    }

    private init(
        server: any Channel, state: NIOLockedValueBox<State>, open: NIOLockedValueBox<[ObjectIdentifier: any Channel]>
    ) {
        self.server = server
        self.state = state
        self.open = open
    }

    func set(_ state: State) {
        self.state.withLockedValue { $0 = state }
        guard state == .cut else { return }
        for channel in open.withLockedValue({ Array($0.values) }) { channel.close(promise: nil) }
    }

    func close() { server.close(promise: nil) }
}

private final class Forward: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let other: any Channel
    private let state: NIOLockedValueBox<Line.State>?

    init(to other: any Channel, state: NIOLockedValueBox<Line.State>?) {
        self.other = other
        self.state = state
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if let state, state.withLockedValue({ $0 == .mute }) { return }
        other.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        other.close(promise: nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
