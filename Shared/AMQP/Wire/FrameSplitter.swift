import NIOCore

/// Cuts the byte stream into whole frames and checks each outline before the library sees a byte of it.
///
/// The result does not depend on how the stream was cut into reads.
struct FrameSplitter {
    /// Largest frame that was agreed on, in bytes, all included.
    var frameMax: Int
    /// Largest channel number that was agreed on.
    var channelMax: UInt16
    private var pending = ByteBuffer()

    init(frameMax: Int = AMQPConfiguration.frameMaxFloor, channelMax: UInt16 = 0) {
        self.frameMax = frameMax
        self.channelMax = channelMax
    }

    mutating func append(_ bytes: ByteBuffer) {
        if pending.readableBytes == 0 {
            pending = bytes
        } else {
            pending.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole frame, or `nil` until more bytes come.
    ///
    /// - Throws: ``AMQPError`` of kind `protocolViolation` as soon as the bytes at hand cannot begin a permitted frame;
    ///   nothing after that can be trusted.
    mutating func next() throws(AMQPError) -> RawFrame? {
        let start = pending.readerIndex
        guard let first: UInt8 = pending.getInteger(at: start) else { return nil }
        guard let type = FrameType(rawValue: first) else {
            throw .violation(
                first == UInt8(ascii: "A") ? "the peer does not speak AMQP 0-9-1" : "unknown frame type \(first)")
        }
        guard let channel: UInt16 = pending.getInteger(at: start + 1) else { return nil }
        guard channel <= channelMax else { throw .violation("frame on channel \(channel), which was never agreed on") }
        if type == .heartbeat && channel != 0 { throw .violation("heartbeat on channel \(channel)") }
        if (type == .header || type == .body) && channel == 0 { throw .violation("content on channel 0") }
        guard let size: UInt32 = pending.getInteger(at: start + 3) else { return nil }
        guard Int(size) + RawFrame.overhead <= frameMax else {
            throw .violation("frame of \(size) bytes; at most \(frameMax - RawFrame.overhead) were agreed on")
        }
        guard Int(size) >= type.smallestPayload else { throw .violation("frame of \(size) bytes of type \(first)") }
        if type == .heartbeat && size != 0 { throw .violation("heartbeat with a payload") }
        guard let bytes = pending.readSlice(length: Int(size) + RawFrame.overhead) else { return nil }
        guard bytes.getInteger(at: bytes.writerIndex - 1, as: UInt8.self) == RawFrame.endMark else {
            throw .violation("frame without an end mark")
        }
        return RawFrame(type: type, channel: channel, bytes: bytes)
    }

    /// Lets go of consumed bytes; call when all frames of a read are taken.
    mutating func compact() {
        if pending.readableBytes == 0 { pending = ByteBuffer() } else { pending.discardReadBytes() }
    }
}
