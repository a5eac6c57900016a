import NIOCore
import Testing

@testable import AMQP

@Suite struct FrameSplitterTests {
    static let frameMax = 4096

    static func bytes(type: UInt8, channel: UInt16, size: UInt32, end: UInt8 = 0xCE) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMultipleIntegers(type, channel, size)
        buffer.writeRepeatingByte(0, count: Int(min(size, 10_000)))
        buffer.writeInteger(end)
        return buffer
    }

    @Test("every frame type from 0 to 255 is either one of four or a violation", arguments: 0...UInt8.max)
    func typesAreChecked(type: UInt8) {
        var splitter = FrameSplitter(frameMax: Self.frameMax, channelMax: 31)
        let channel: UInt16 = type == 2 || type == 3 ? 1 : 0
        splitter.append(Self.bytes(type: type, channel: channel, size: type == 8 ? 0 : 16))
        if [1, 2, 3, 8].contains(type) {
            #expect(throws: Never.self) { try splitter.next() }
        } else {
            #expect(throws: AMQPError.self) { try splitter.next() }
        }
    }

    @Test("frames too small for their type are violations (alanxz/rabbitmq-c#878)", arguments: 0...UInt32(16))
    func smallSizesAreChecked(size: UInt32) {
        for (type, smallest, channel) in [(UInt8(1), 4, UInt16(0)), (2, 14, 1), (3, 0, 1)] {
            var splitter = FrameSplitter(frameMax: Self.frameMax, channelMax: 31)
            splitter.append(Self.bytes(type: type, channel: channel, size: size))
            let frame = try? splitter.next()
            #expect((frame != nil) == (Int(size) >= smallest))
        }
    }

    @Test func aFrameOneByteOverTheLimitIsRefusedByItsHeaderAlone() throws {
        let most = UInt32(Self.frameMax - RawFrame.overhead)
        var splitter = FrameSplitter(frameMax: Self.frameMax, channelMax: 31)
        splitter.append(Self.bytes(type: 3, channel: 1, size: most))
        #expect(try splitter.next()?.payload.readableBytes == Int(most))
        var header = ByteBuffer()
        header.writeMultipleIntegers(UInt8(3), UInt16(1), most + 1)
        splitter.append(header)
        #expect(throws: AMQPError.self) { try splitter.next() }
    }

    @Test func hugeSizesNeitherOverflowNorAllocate() {
        var splitter = FrameSplitter(frameMax: AMQPConfiguration.frameMaxCeiling, channelMax: 31)
        var header = ByteBuffer()
        header.writeMultipleIntegers(UInt8(3), UInt16(1), UInt32.max)
        splitter.append(header)
        #expect(throws: AMQPError.self) { try splitter.next() }
    }

    @Test func onlyChannelsThatWereAgreedOnAreAdmitted() {
        for channel in stride(from: 0, through: Int(UInt16.max), by: 7) {
            var splitter = FrameSplitter(frameMax: Self.frameMax, channelMax: 31)
            splitter.append(Self.bytes(type: 1, channel: UInt16(channel), size: 4))
            #expect(((try? splitter.next()) != nil) == (channel <= 31))
        }
    }

    @Test func contentAndHeartbeatsKeepToTheirChannels() {
        for (type, channel, size) in [(UInt8(2), UInt16(0), UInt32(14)), (3, 0, 1), (8, 1, 0), (8, 0, 1)] {
            var splitter = FrameSplitter(frameMax: Self.frameMax, channelMax: 31)
            splitter.append(Self.bytes(type: type, channel: channel, size: size))
            #expect(throws: AMQPError.self) { try splitter.next() }
        }
    }

    @Test func aFrameWithoutItsEndMarkIsAViolation() {
        var splitter = FrameSplitter(frameMax: Self.frameMax, channelMax: 31)
        splitter.append(Self.bytes(type: 1, channel: 0, size: 8, end: 0))
        #expect(throws: AMQPError.self) { try splitter.next() }
    }

    @Test func anotherProtocolIsNamedAsSuch() {
        var splitter = FrameSplitter()
        splitter.append(ByteBuffer(bytes: Array("AMQP".utf8) + [0, 0, 9, 1]))
        let error = #expect(throws: AMQPError.self) { try splitter.next() }
        #expect(error?.reason == "the peer does not speak AMQP 0-9-1")
    }
}
