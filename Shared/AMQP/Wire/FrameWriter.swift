import NIOCore

/// Writes the frames that carry no method and no properties.
enum FrameWriter {
    static func writeHeader(_ type: FrameType, channel: UInt16, size: Int, into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(type.rawValue, channel, UInt32(size))
    }

    static func writeHeartbeat(into buffer: inout ByteBuffer) {
        writeHeader(.heartbeat, channel: 0, size: 0, into: &buffer)
        buffer.writeInteger(RawFrame.endMark)
    }

    /// Cuts the body into frames of at most `frameMax` bytes, overhead included. An empty body has no frame.
    static func writeBody(_ body: [UInt8], channel: UInt16, frameMax: Int, into buffer: inout ByteBuffer) {
        let most = frameMax - RawFrame.overhead
        var rest = body[...]
        while !rest.isEmpty {
            let part = rest.prefix(most)
            writeHeader(.body, channel: channel, size: part.count, into: &buffer)
            buffer.writeBytes(part)
            buffer.writeInteger(RawFrame.endMark)
            rest = rest.dropFirst(part.count)
        }
    }
}
