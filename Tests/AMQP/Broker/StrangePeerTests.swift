import NIOCore
import NIOPosix
import Testing

@testable import AMQP

/// What listens on the broker's port may be anything.
@Suite struct StrangePeerTests {
    /// Answers every connection with these bytes, then with silence.
    static func peer(saying bytes: ByteBuffer, thenClosing: Bool = false) async throws -> any Channel {
        try await ServerBootstrap(group: BrokerTests.loops)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answer(bytes, thenClosing))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    final class Answer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let bytes: ByteBuffer
        private let closes: Bool

        init(_ bytes: ByteBuffer, _ closes: Bool) {
            self.bytes = bytes
            self.closes = closes
        }

        func channelActive(context: ChannelHandlerContext) {
            context.writeAndFlush(NIOAny(bytes), promise: nil)
            if closes { context.close(promise: nil) }
        }
    }

    /// Why no connection comes about.
    static func obstacle(
        saying bytes: ByteBuffer, thenClosing: Bool = false, within timeout: Duration = .seconds(5)
    ) async throws -> AMQPError? {
        let peer = try await peer(saying: bytes, thenClosing: thenClosing)
        var configuration = AMQPConfiguration(
            hosts: [.init("127.0.0.1", port: peer.localAddress?.port ?? 0)], user: "u", password: "p",
            connectTimeout: timeout, connectionName: "test")
        configuration.heartbeat = .seconds(1)
        let raw = RawConnection(configuration)
        let error = await #expect(throws: AMQPError.self) { try await raw.open() }
        try await peer.close()
        return error
    }

    static func start(mechanisms: String = "PLAIN") -> ByteBuffer {
        var method = ByteBuffer()
        method.writeMultipleIntegers(MethodID.connectionStart.rawValue, UInt8(0), UInt8(9), UInt32(0))
        for text in [mechanisms, "en_US"] {
            method.writeInteger(UInt32(text.utf8.count))
            method.writeString(text)
        }
        return frame(1, 0, method)
    }

    static func frame(_ type: UInt8, _ channel: UInt16, _ payload: ByteBuffer, end: UInt8 = 0xCE) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeMultipleIntegers(type, channel, UInt32(payload.readableBytes))
        frame.writeImmutableBuffer(payload)
        frame.writeInteger(end)
        return frame
    }

    @Test func aPeerThatSaysNothingIsGivenUpInTime() async throws {
        let error = try await Self.obstacle(saying: ByteBuffer(), within: .milliseconds(300))
        #expect(error?.kind == .cannotConnect)
    }

    @Test func aPeerThatStopsHalfWayIsGivenUpInTime() async throws {
        let error = try await Self.obstacle(saying: Self.start(), within: .milliseconds(300))
        #expect(error?.kind == .cannotConnect)
    }

    @Test func aPeerThatHangsUpIsNamed() async throws {
        #expect(try await Self.obstacle(saying: ByteBuffer(), thenClosing: true)?.kind == .connectionLost)
    }

    @Test func aBrokerOfAnotherVersionIsNamed() async throws {
        let error = try await Self.obstacle(saying: ByteBuffer(bytes: Array("AMQP".utf8) + [3, 1, 0, 0]))
        #expect(error?.reason == "the peer does not speak AMQP 0-9-1")
    }

    @Test func aWebServerIsNoBroker() async throws {
        #expect(
            try await Self.obstacle(saying: ByteBuffer(string: "HTTP/1.1 400 \r\n\r\n"))?.kind == .protocolViolation)
    }

    @Test func aBrokerWithoutPlainIsNamed() async throws {
        let error = try await Self.obstacle(saying: Self.start(mechanisms: "EXTERNAL SCRAM"))
        #expect(error?.reason.contains("PLAIN") == true)
    }

    @Test("frame limits below the floor are refused (alanxz/rabbitmq-c#899)")
    func aTinyFrameLimitIsRefused() async throws {
        var bytes = Self.start()
        var tune = ByteBuffer()
        tune.writeMultipleIntegers(MethodID.connectionTune.rawValue, UInt16(0), UInt32(8), UInt16(1))
        bytes.writeImmutableBuffer(Self.frame(1, 0, tune))
        #expect(try await Self.obstacle(saying: bytes)?.kind == .protocolViolation)
    }

    @Test func framesOutOfPlaceEndTheConnection() async throws {
        let strange: [ByteBuffer] = [
            Self.frame(1, 0, ByteBuffer(integer: MethodID.connectionOpenOK.rawValue)),
            Self.frame(1, 0, ByteBuffer(integer: MethodID.basicPublish.rawValue)),
            Self.frame(1, 0, ByteBuffer(integer: UInt32.max)), Self.frame(1, 0, ByteBuffer(bytes: [0, 10])),
            Self.frame(1, 1, ByteBuffer(integer: MethodID.channelOpenOK.rawValue)),
            Self.frame(3, 1, ByteBuffer(bytes: [1])), Self.frame(8, 0, ByteBuffer(), end: 0),
            Self.frame(7, 0, ByteBuffer()), Self.frame(1, .max, ByteBuffer(repeating: 0, count: 16)),
        ]
        for bytes in strange {
            #expect(try await Self.obstacle(saying: bytes)?.kind == .protocolViolation)
        }
    }
}
