import NIOCore

/// Lines of at most 2,000 bytes, without their CRLF. Lives on its channel's event loop.
final class SMTPLines: ByteToMessageDecoder {
    typealias InboundOut = String

    private var lines = 0
    private var hasRest = false

    /// To be called as TLS begins. Who sits on the line can add words in clear to the answer before it, or to an earlier
    /// one; read on inside TLS they would pass for the server's own (CVE-2011-0411). So there may be nothing but what has
    /// been read as answers, not a byte.
    func requireNothing(beyond linesRead: Int) throws(SMTP.SMTPError) {
        guard lines == linesRead, !hasRest else { throw .wordsInClear }
    }

    func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        defer { hasRest = buffer.readableBytes > 0 }
        guard let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else {
            if buffer.readableBytes > 2_000 { throw SMTP.SMTPError.malformed }
            return .needMoreData
        }
        let length = end - buffer.readerIndex
        var line = buffer.readString(length: length) ?? ""
        buffer.moveReaderIndex(forwardBy: 1)
        if line.hasSuffix("\r") { line.removeLast() }
        lines += 1
        context.fireChannelRead(wrapInboundOut(line))
        return .continue
    }

    func decodeLast(context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool) throws -> DecodingState {
        try decode(context: context, buffer: &buffer)
    }
}
