import NIOCore

/// Walks an encoded field table without recursion, to bound its depth and prove its lengths before the library decodes
/// it: the library recurses on the event loop's stack, and a frame of 128 KiB can nest 26,000 levels.
enum TableOutline {
    /// Whether `bytes` begin with a well-formed table no deeper than `maximumDepth`.
    static func isSound(_ bytes: ByteBuffer, maximumDepth: Int = AMQPValue.maximumDepth) -> Bool {
        var bytes = bytes
        guard let length: UInt32 = bytes.readInteger(), Int(length) <= bytes.readableBytes else { return false }
        // Each level: where it ends, and whether its entries have names.
        var levels = [(end: bytes.readerIndex + Int(length), named: true)]
        while let level = levels.last {
            if bytes.readerIndex == level.end {
                levels.removeLast()
                continue
            }
            guard bytes.readerIndex < level.end else { return false }
            if level.named {
                guard let name: UInt8 = bytes.readInteger() else { return false }
                guard bytes.readerIndex + Int(name) < level.end else { return false }
                bytes.moveReaderIndex(forwardBy: Int(name))
            }
            guard let kind: UInt8 = bytes.readInteger() else { return false }
            switch UnicodeScalar(kind) {
            case "A", "F":
                guard levels.count < maximumDepth, let inner = lengthWord(&bytes, end: level.end) else { return false }
                levels.append((end: bytes.readerIndex + inner, named: kind == UInt8(ascii: "F")))
            case "S", "x":
                guard let inner = lengthWord(&bytes, end: level.end) else { return false }
                bytes.moveReaderIndex(forwardBy: inner)
            default:
                guard let width = scalarWidth(kind), bytes.readerIndex + width <= level.end else { return false }
                bytes.moveReaderIndex(forwardBy: width)
            }
        }
        return true
    }

    private static func lengthWord(_ bytes: inout ByteBuffer, end: Int) -> Int? {
        guard bytes.readerIndex + 4 <= end, let length: UInt32 = bytes.readInteger() else { return nil }
        return bytes.readerIndex + Int(length) <= end ? Int(length) : nil
    }

    private static func scalarWidth(_ kind: UInt8) -> Int? {
        switch UnicodeScalar(kind) {
        case "V": 0
        case "t", "b", "B": 1
        case "s", "u": 2
        case "I", "i", "f": 4
        case "D": 5
        case "l", "L", "d", "T": 8
        default: nil
        }
    }

    /// Where the header table of basic properties begins in the property bytes (flags first), if there is one and the
    /// bytes before it are sound.
    static func headers(inBasicProperties bytes: ByteBuffer) -> Headers {
        var bytes = bytes
        guard let flags: UInt16 = bytes.readInteger() else { return .unsound }
        // Bit 0 announces a second flags word, which basic properties do not need.
        guard flags & 1 == 0 else { return .unsound }
        for bit: UInt16 in [15, 14] where flags & (1 << bit) != 0 {
            guard let length: UInt8 = bytes.readInteger(), bytes.readableBytes >= Int(length) else { return .unsound }
            bytes.moveReaderIndex(forwardBy: Int(length))
        }
        return flags & (1 << 13) == 0 ? .none : .table(bytes)
    }

    enum Headers {
        case none
        case table(ByteBuffer)
        case unsound
    }
}
