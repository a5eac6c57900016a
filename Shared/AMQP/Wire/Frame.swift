import NIOCore

/// The frame types of AMQP 0-9-1.
enum FrameType: UInt8, Sendable {
    case method = 1
    case header = 2
    case body = 3
    case heartbeat = 8

    /// The fewest payload bytes with which a frame of the type makes sense. The library trusts this.
    var smallestPayload: Int {
        switch self {
        case .method: 4
        case .header: 14
        case .body, .heartbeat: 0
        }
    }
}

/// A frame whose outline (type, channel, size, end mark) has been checked, with all of its bytes.
struct RawFrame: Sendable, Hashable {
    var type: FrameType
    var channel: UInt16
    /// Header, payload and end mark, as the library wants them.
    var bytes: ByteBuffer

    static let headerSize = 7
    static let overhead = 8
    static let endMark: UInt8 = 0xCE

    var payload: ByteBuffer {
        bytes.getSlice(at: bytes.readerIndex + Self.headerSize, length: bytes.readableBytes - Self.overhead)
            ?? ByteBuffer()
    }
}

/// A frame, decoded.
enum InboundFrame: Sendable, Hashable {
    case method(InboundMethod)
    case header(bodySize: UInt64, properties: MessageProperties)
    case body(ByteBuffer)
    case heartbeat
}
