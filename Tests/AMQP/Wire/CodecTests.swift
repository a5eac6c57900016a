import NIOCore
import Testing

@testable import AMQP

@Suite struct CodecTests {
    static let properties = MessageProperties(
        contentType: "text/plain", messageID: "id", headers: ["a": 1, "b": .table(["c": .array([.null, "d"])])])

    /// A stream of every kind of frame, as this side's writer makes them.
    static func stream(body: [UInt8], frameMax: Int) throws -> ByteBuffer {
        let codec = try LibraryCodec()
        var buffer = ByteBuffer()
        for _ in 0..<3 {
            try codec.encode(.channelCloseOK, channel: 3, into: &buffer)
            try codec.encode(.basicAck(tag: .max, multiple: true), channel: 1, into: &buffer)
            try codec.encode(
                properties, bodySize: body.count, channel: 2, frameMax: frameMax, into: &buffer)
            FrameWriter.writeBody(body, channel: 2, frameMax: frameMax, into: &buffer)
            FrameWriter.writeHeartbeat(into: &buffer)
            try codec.encode(.channelClose(code: 404, text: "gone"), channel: 1, into: &buffer)
        }
        return buffer
    }

    static func decode(_ stream: ByteBuffer, cutting: (Int) -> Int) throws -> [InboundFrame] {
        var stream = stream
        let codec = try LibraryCodec()
        try codec.agree(frameMax: 4096)
        var splitter = FrameSplitter(frameMax: 4096, channelMax: 31)
        var frames: [InboundFrame] = []
        while stream.readableBytes > 0 {
            let part = stream.readSlice(length: min(stream.readableBytes, max(1, cutting(stream.readableBytes))))
            splitter.append(try #require(part))
            while let raw = try splitter.next() { frames.append(try codec.decode(raw)) }
            splitter.compact()
        }
        return frames
    }

    @Test("any cut of the stream gives the same frames (rabbitmq/rabbitmq-server#13384)")
    func cutsDoNotMatter() throws {
        let stream = try Self.stream(body: (0..<9000).map { UInt8(truncatingIfNeeded: $0) }, frameMax: 4096)
        let whole = try Self.decode(stream) { $0 }
        #expect(whole.count == 3 * 8)
        #expect(try Self.decode(stream) { _ in 1 } == whole)
        for seed in 1...60 as ClosedRange<UInt64> {
            var random = SplitMix(state: seed)
            let most = Int.random(in: 2...5000, using: &random)
            #expect(try Self.decode(stream) { _ in Int.random(in: 1...most, using: &random) } == whole)
        }
    }

    @Test("a flipped byte never traps: the stream decodes or is a violation (alanxz/rabbitmq-c#878)")
    func corruptionDoesNotTrap() throws {
        let stream = try Self.stream(body: Array(repeating: 7, count: 50), frameMax: 4096)
        var random = SplitMix(state: 7)
        for position in 0..<stream.readableBytes {
            for _ in 0..<4 {
                var broken = stream
                broken.setInteger(UInt8.random(in: 0...255, using: &random), at: position)
                _ = try? Self.decode(broken) { $0 }
            }
        }
        for _ in 0..<2000 {
            var noise = ByteBuffer()
            let kind = UInt8([1, 2, 3, 8].randomElement(using: &random) ?? 1)
            let size = Int.random(in: 0...64, using: &random)
            noise.writeMultipleIntegers(kind, UInt16.random(in: 0...3, using: &random), UInt32(size))
            if kind == 1, let method = MethodID.allCases.randomElement(using: &random), size >= 4 {
                noise.writeInteger(method.rawValue)
            } else if kind == 2, size >= 14 {
                noise.writeMultipleIntegers(UInt16(60), UInt16(0), UInt64(0))
            }
            while noise.readableBytes < 7 + size { noise.writeInteger(UInt8.random(in: 0...255, using: &random)) }
            noise.writeInteger(RawFrame.endMark)
            _ = try? Self.decode(noise) { $0 }
        }
    }

    @Test func everyMethodThatABrokerSendsIsKnownToTheLibraryUnderItsNumber() throws {
        for method in MethodID.allCases where !InboundMethod.ids.contains(method) {
            var frame = ByteBuffer()
            frame.writeMultipleIntegers(UInt8(1), UInt16(0), UInt32(4), method.rawValue, RawFrame.endMark)
            let raw = RawFrame(type: .method, channel: 0, bytes: frame)
            #expect(throws: AMQPError.self) { try LibraryCodec().decode(raw) }
        }
    }

    @Test func tablesNestedDeeperThanTheStackBearsAreRefused() throws {
        for depth in [1, AMQPValue.maximumDepth - 1, AMQPValue.maximumDepth, 20_000] {
            // Arrays in arrays, innermost empty, in one header.
            var table = ByteBuffer()
            table.writeInteger(UInt8(1))
            table.writeString("h")
            for level in 0..<depth {
                table.writeInteger(UInt8(ascii: "A"))
                table.writeInteger(UInt32((depth - level - 1) * 5))
            }
            var sized = ByteBuffer(integer: UInt32(table.readableBytes))
            sized.writeBuffer(&table)
            #expect(TableOutline.isSound(sized) == (depth < AMQPValue.maximumDepth))
        }
    }

    @Test func headersThatDoNotFitInAFrameAreRefusedAndLeaveNothingBehind() throws {
        let codec = try LibraryCodec()
        var buffer = ByteBuffer()
        var properties = MessageProperties(headers: ["large": .string(String(repeating: "x", count: 4096))])
        #expect(throws: AMQPError.self) {
            try codec.encode(properties, bodySize: 0, channel: 1, frameMax: 4096, into: &buffer)
        }
        #expect(buffer.readableBytes == 0)
        // 8 of outline, 12 of header, 2 of flags, 1 of mode, 4 of table, 6 of name, 5 of value.
        properties.headers = ["large": .string(String(repeating: "x", count: 4096 - 38))]
        try codec.encode(properties, bodySize: 0, channel: 1, frameMax: 4096, into: &buffer)
        #expect(buffer.readableBytes == 4096)
    }

    @Test func namesLongerThanAShortStringAreRefused() throws {
        let codec = try LibraryCodec()
        var buffer = ByteBuffer()
        let long = String(repeating: "é", count: 128)
        #expect(throws: AMQPError.self) {
            try codec.encode(
                .basicPublish(exchange: "", routingKey: long, mandatory: true), channel: 1, into: &buffer)
        }
        #expect(throws: AMQPError.self) {
            try codec.encode(
                MessageProperties(messageID: long), bodySize: 0, channel: 1, frameMax: 4096, into: &buffer)
        }
        #expect(buffer.readableBytes == 0)
    }

    @Test("bodies are cut so that no frame is over the limit", arguments: [0, 1, 4087, 4088, 4089, 8176, 8177, 20_000])
    func bodiesAreCut(size: Int) throws {
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        var buffer = ByteBuffer()
        FrameWriter.writeBody(body, channel: 1, frameMax: 4096, into: &buffer)
        let parts = try Self.decode(buffer) { $0 }
        #expect(parts.count == (size + 4087) / 4088)
        var whole: [UInt8] = []
        for case .body(let bytes) in parts { whole += Array(buffer: bytes) }
        #expect(whole == body)
    }

    @Test func passwordsAreNotShown() {
        let configuration = AMQPConfiguration(
            hosts: [.init("h")], user: "u", password: "hunter2", connectionName: "c")
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!dumped.contains("hunter2"))
        #expect(!"\(configuration)".contains("hunter2"))
    }
}

/// A small repeatable source of randomness.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
