import CRabbitMQ
import NIOCore

/// The librabbitmq handle of one connection, used as a codec only: no socket, no blocking call.
///
/// Not `Sendable`: it is touched on its connection's event loop alone. It is fed whole frames only, so between two calls
/// the decoder is always between frames, where its functions cannot abort. Body and heartbeat frames have nothing to
/// decode and don't pass through it.
final class LibraryCodec {
    private let state: amqp_connection_state_t
    /// What the encoder is given lives here until the call is over.
    private let arena = LibraryArena()

    init() throws(AMQPError) {
        guard let state = amqp_new_connection() else {
            throw AMQPError(.cannotConnect, "no memory for the protocol library")
        }
        self.state = state
        // Unless it has seen a protocol header, the decoder takes one byte too many for the first frame.
        var header: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]
        let taken = header.withUnsafeMutableBytes { bytes in
            var frame = amqp_frame_t()
            return amqp_handle_input(state, amqp_bytes_t(len: bytes.count, bytes: bytes.baseAddress), &frame)
        }
        guard taken == 8 else {
            amqp_destroy_connection(state)
            throw AMQPError(.cannotConnect, "the protocol library cannot be set up")
        }
    }

    /// Tells the library the frame limit that was agreed on.
    func agree(frameMax: Int) throws(AMQPError) {
        guard amqp_tune_connection(state, 0, Int32(frameMax), 0) == 0 else {
            throw AMQPError(.cannotConnect, "no memory for frames of \(frameMax) bytes")
        }
    }

    deinit {
        amqp_destroy_connection(state)
    }

    /// Decodes a frame whose outline was checked, and copies all that is kept out of the library's memory.
    func decode(_ frame: RawFrame) throws(AMQPError) -> InboundFrame {
        switch frame.type {
        case .heartbeat: return .heartbeat
        case .body: return .body(frame.payload)
        case .method:
            guard let id = frame.payload.getInteger(at: frame.payload.readerIndex, as: UInt32.self),
                let method = MethodID(rawValue: id), InboundMethod.ids.contains(method)
            else { throw .violation("a method that a broker does not send") }
            if method == .connectionStart {
                var table = frame.payload
                table.moveReaderIndex(forwardBy: 4)
                guard table.readableBytes >= 2 else { throw .violation("connection.start is cut short") }
                table.moveReaderIndex(forwardBy: 2)
                guard TableOutline.isSound(table) else { throw .violation("unsound field table") }
            }
        case .header:
            var properties = frame.payload
            guard properties.readInteger(as: UInt16.self) == UInt16(AMQP_BASIC_CLASS) else {
                throw .violation("a content header of another class than basic")
            }
            properties.moveReaderIndex(forwardBy: 10)
            switch TableOutline.headers(inBasicProperties: properties) {
            case .none: break
            case .table(let table) where TableOutline.isSound(table): break
            case .table, .unsound: throw .violation("unsound message properties")
            }
        }
        return try decodeByLibrary(frame)
    }

    private func decodeByLibrary(_ frame: RawFrame) throws(AMQPError) -> InboundFrame {
        defer { amqp_maybe_release_buffers_on_channel(state, frame.channel) }
        var decoded = amqp_frame_t()
        let taken = frame.bytes.withUnsafeReadableBytes { bytes in
            // The library reads from the pointer only; its C type has no const.
            let input = amqp_bytes_t(len: bytes.count, bytes: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            return first(of: input, into: &decoded)
        }
        guard taken == frame.bytes.readableBytes, decoded.frame_type == frame.type.rawValue else {
            throw .violation("a frame that cannot be decoded")
        }
        if frame.type == .method {
            guard let pointer = decoded.payload.method.decoded,
                let id = MethodID(rawValue: decoded.payload.method.id),
                let method = InboundMethod(id: id, decoded: pointer)
            else { throw .violation("a method that a broker does not send") }
            return .method(method)
        }
        guard let pointer = decoded.payload.properties.decoded else { throw .violation("no message properties") }
        let properties = pointer.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
        return .header(bodySize: decoded.payload.properties.body_size, properties: MessageProperties(properties))
    }

    /// Feeds the input until the frame in it is complete: the first call takes a header, and for a frame that fits the
    /// header's buffer may take no more.
    private func first(of input: amqp_bytes_t, into frame: inout amqp_frame_t) -> Int {
        var input = input
        var total = 0
        while input.len > 0 {
            let taken = amqp_handle_input(state, input, &frame)
            guard taken > 0 else { return -1 }
            total += Int(taken)
            input.len -= Int(taken)
            input.bytes = input.bytes.advanced(by: Int(taken))
            if frame.frame_type != 0 { break }
        }
        return total
    }

    // MARK: - Encoding

    /// Appends the method as a frame.
    ///
    /// - Throws: ``AMQPError`` of kind `unencodable`; then nothing is appended.
    func encode(_ method: OutboundMethod, channel: UInt16, into buffer: inout ByteBuffer) throws(AMQPError) {
        guard method.shortStrings.allSatisfy({ $0.utf8.count <= MessageProperties.shortStringLimit }) else {
            throw AMQPError(.unencodable, "a name is longer than \(MessageProperties.shortStringLimit) bytes")
        }
        defer { arena.recycle() }
        let id = method.id
        try frame(.method, channel: channel, bound: method.encodedSizeBound + 4, into: &buffer) { target in
            target.storeBytes(of: id.rawValue.bigEndian, as: UInt32.self)
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[4...])
            let written = method.withLibraryStruct(in: arena) { pointer in
                amqp_encode_method(id.rawValue, pointer, amqp_bytes_t(len: rest.count, bytes: rest.baseAddress))
            }
            return written < 0 ? nil : 4 + Int(written)
        }
    }

    /// Appends the content header of a message as a frame, which cannot be split.
    ///
    /// - Throws: ``AMQPError`` of kind `unencodable` if the properties do not fit in `frameMax`; nothing is appended.
    func encode(
        _ properties: MessageProperties, bodySize: Int, channel: UInt16, frameMax: Int, into buffer: inout ByteBuffer
    ) throws(AMQPError) {
        if let fault = properties.fault { throw AMQPError(.unencodable, fault) }
        defer { arena.recycle() }
        let start = buffer.writerIndex
        try frame(.header, channel: channel, bound: 12 + properties.encodedSizeBound, into: &buffer) { target in
            target.storeBytes(of: UInt16(AMQP_BASIC_CLASS).bigEndian, as: UInt16.self)
            target.storeBytes(of: 0, toByteOffset: 2, as: UInt16.self)
            target.storeBytes(of: UInt64(bodySize).bigEndian, toByteOffset: 4, as: UInt64.self)
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[12...])
            guard var encoded = amqp_basic_properties_t(properties, in: arena) else { return nil }
            let written = amqp_encode_properties(
                UInt16(AMQP_BASIC_CLASS), &encoded, amqp_bytes_t(len: rest.count, bytes: rest.baseAddress))
            return written < 0 ? nil : 12 + Int(written)
        }
        if buffer.writerIndex - start > frameMax {
            buffer.moveWriterIndex(to: start)
            throw AMQPError(.unencodable, "the message's properties do not fit in a frame of \(frameMax) bytes")
        }
    }

    /// Writes type, channel, size and end mark around what `fill` encodes into at most `bound` bytes.
    private func frame(
        _ type: FrameType, channel: UInt16, bound: Int, into buffer: inout ByteBuffer,
        fill: (UnsafeMutableRawBufferPointer) -> Int?
    ) throws(AMQPError) {
        let start = buffer.writerIndex
        FrameWriter.writeHeader(type, channel: channel, size: 0, into: &buffer)
        var size: Int?
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { target in
            size = fill(UnsafeMutableRawBufferPointer(rebasing: target.prefix(bound)))
            return size ?? 0
        }
        guard let size else {
            buffer.moveWriterIndex(to: start)
            throw AMQPError(.unencodable, "the protocol library cannot encode this")
        }
        buffer.setInteger(UInt32(size), at: start + 3)
        buffer.writeInteger(RawFrame.endMark)
    }
}
