import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

@testable import AMQP

/// Stands between a client and the broker and does to the frames that the broker sends what a test asks for.
final class FrameProxy: Sendable {
    enum Fate: Sendable {
        case pass
        case drop
        /// Hold it back, and everything behind it, until ``release()``.
        case hold
    }

    typealias Judge = @Sendable (RawFrame) -> Fate

    private let server: any Channel
    private let judge: NIOLockedValueBox<Judge>
    private let legs: NIOLockedValueBox<[NIOLoopBound<Leg>]>
    private let asked: NIOLockedValueBox<Int>

    /// Bytes that clients have sent so far.
    var bytesFromClients: Int { asked.withLockedValue { $0 } }

    var port: Int { server.localAddress?.port ?? 0 }

    static func start(to port: Int, cutting cut: Int? = nil) async throws -> FrameProxy {
        let judge = NIOLockedValueBox<Judge> { _ in .pass }
        let legs = NIOLockedValueBox<[NIOLoopBound<Leg>]>([])
        let asked = NIOLockedValueBox(0)
        let server = try await ServerBootstrap(group: BrokerTests.loops)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop)
                    .channelInitializer { broker in
                        client.eventLoop.makeCompletedFuture {
                            let leg = Leg(client: client, broker: broker, judge: judge, cut: cut)
                            legs.withLockedValue { $0.append(NIOLoopBound(leg, eventLoop: client.eventLoop)) }
                            try broker.pipeline.syncOperations.addHandler(FromBroker(leg))
                            try client.pipeline.syncOperations.addHandler(FromClient(leg, asked))
                        }
                    }
                    .connect(host: "127.0.0.1", port: port)
                    .flatMap { _ in client.setOption(.autoRead, value: true) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FrameProxy(server: server, judge: judge, legs: legs, asked: asked)
    }

    private init(
        server: any Channel, judge: NIOLockedValueBox<Judge>, legs: NIOLockedValueBox<[NIOLoopBound<Leg>]>,
        asked: NIOLockedValueBox<Int>
    ) {
        self.server = server
        self.judge = judge
        self.legs = legs
        self.asked = asked
    }

    func judge(_ judge: @escaping Judge) { self.judge.withLockedValue { $0 = judge } }

    /// Lets go what is held; what comes behind it is judged anew.
    func release(judging judge: @escaping Judge = { _ in .pass }) {
        self.judge(judge)
        for leg in legs.withLockedValue({ $0 }) {
            leg.eventLoop.execute { leg.value.release() }
        }
    }

    func stop() async throws { try await server.close() }

    fileprivate final class Leg {
        let client: any Channel
        let broker: any Channel
        private let judge: NIOLockedValueBox<Judge>
        private let cut: Int?
        private var splitter = FrameSplitter(frameMax: AMQPConfiguration.frameMaxCeiling, channelMax: .max)
        private var held: [ByteBuffer] = []

        init(client: any Channel, broker: any Channel, judge: NIOLockedValueBox<Judge>, cut: Int?) {
            self.client = client
            self.broker = broker
            self.judge = judge
            self.cut = cut
        }

        func fromBroker(_ bytes: ByteBuffer) {
            splitter.append(bytes)
            let judge = self.judge.withLockedValue { $0 }
            while let frame = try? splitter.next() {
                switch held.isEmpty ? judge(frame) : .hold {
                case .pass: send(frame.bytes)
                case .drop: break
                case .hold: held.append(frame.bytes)
                }
            }
            splitter.compact()
            client.flush()
        }

        func release() {
            for bytes in held { send(bytes) }
            held = []
            client.flush()
        }

        private func send(_ bytes: ByteBuffer) {
            var bytes = bytes
            while let cut, let part = bytes.readSlice(length: min(cut, bytes.readableBytes)), part.readableBytes > 0 {
                client.writeAndFlush(part, promise: nil)
            }
            if bytes.readableBytes > 0 { client.write(bytes, promise: nil) }
        }
    }

    private final class FromBroker: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let leg: Leg

        init(_ leg: Leg) { self.leg = leg }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { leg.fromBroker(unwrapInboundIn(data)) }
        func channelInactive(context: ChannelHandlerContext) { leg.client.close(promise: nil) }
    }

    private final class FromClient: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let leg: Leg
        private let asked: NIOLockedValueBox<Int>

        init(_ leg: Leg, _ asked: NIOLockedValueBox<Int>) {
            self.leg = leg
            self.asked = asked
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            asked.withLockedValue { [count = unwrapInboundIn(data).readableBytes] in $0 += count }
            leg.broker.writeAndFlush(unwrapInboundIn(data), promise: nil)
        }
        func channelInactive(context: ChannelHandlerContext) { leg.broker.close(promise: nil) }
    }
}

extension RawFrame {
    /// The method's number, if it is a method.
    var methodID: MethodID? {
        guard type == .method else { return nil }
        return payload.getInteger(at: payload.readerIndex, as: UInt32.self).flatMap(MethodID.init(rawValue:))
    }
}
