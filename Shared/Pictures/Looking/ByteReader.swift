/// Reads numbers at positions of bytes that nobody trusts: nil for what is not there, never a trap.
struct ByteReader<Bytes: RandomAccessCollection<UInt8>> {
    private let bytes: Bytes
    let count: Int

    init(_ bytes: Bytes) {
        self.bytes = bytes
        self.count = bytes.count
    }

    func byte(_ position: Int) -> UInt8? {
        guard position >= 0, position < count else { return nil }
        return bytes[bytes.index(bytes.startIndex, offsetBy: position)]
    }

    func big16(_ position: Int) -> Int? { number(position, 2, bigEndian: true) }
    func big32(_ position: Int) -> Int? { number(position, 4, bigEndian: true) }
    func little16(_ position: Int) -> Int? { number(position, 2, bigEndian: false) }
    func little24(_ position: Int) -> Int? { number(position, 3, bigEndian: false) }
    func little32(_ position: Int) -> Int? { number(position, 4, bigEndian: false) }

    func number(_ position: Int, _ length: Int, bigEndian: Bool) -> Int? {
        guard position >= 0, length <= 4, position <= count - length else { return nil }
        var value = 0
        for offset in 0..<length {
            guard let byte = byte(position + (bigEndian ? offset : length - 1 - offset)) else { return nil }
            value = value << 8 | Int(byte)
        }
        return value
    }

    func ascii(_ position: Int, _ length: Int) -> String? {
        guard position >= 0, length >= 0, position <= count - length else { return nil }
        let start = bytes.index(bytes.startIndex, offsetBy: position)
        let slice = bytes[start..<bytes.index(start, offsetBy: length)]
        guard slice.allSatisfy({ $0 < 0x80 }) else { return nil }
        return String(decoding: slice, as: UTF8.self)
    }

    func starts(with prefix: [UInt8]) -> Bool { bytes.starts(with: prefix) }

    // MARK: - JPEG

    /// Moves to just behind the next marker and answers it; nil at the end. `position` then points at the segment's
    /// length.
    func jpegMarker(after position: inout Int) -> UInt8? {
        guard byte(position) == 0xFF else { return nil }
        while byte(position) == 0xFF { position += 1 }
        guard let marker = byte(position) else { return nil }
        position += 1
        return marker
    }

    /// Is there an end marker in the last bytes? Cameras pad a little; a file that was cut off has none.
    func endsWithJPEGEnd() -> Bool {
        var position = count - 2
        let stop = max(0, count - 65_536)
        while position >= stop {
            if byte(position) == 0xFF, byte(position + 1) == 0xD9 { return true }
            position -= 1
        }
        return false
    }

    // MARK: - ISO base media

    /// The contents of the first box of that type.
    func box(_ type: String, in range: Range<Int>) -> Range<Int>? { boxes(type, in: range).first }

    func boxes(_ type: String, in range: Range<Int>) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var position = range.lowerBound
        // A box has at least eight bytes, so this ends.
        while position <= range.upperBound - 8, let size = big32(position), let name = rawASCII(position + 4) {
            var start = position + 8
            var length = size
            if size == 1 {
                guard let high = big32(position + 8), high == 0, let low = big32(position + 12) else { break }
                start = position + 16
                length = low
            } else if size == 0 {
                length = range.upperBound - position
            }
            guard length >= start - position, position + length <= range.upperBound else { break }
            if name == type { found.append(start..<(position + length)) }
            position += length
        }
        return found
    }

    private func rawASCII(_ position: Int) -> String? {
        guard let value = number(position, 4, bigEndian: true) else { return nil }
        return String(
            String.UnicodeScalarView([24, 16, 8, 0].map { Unicode.Scalar(UInt8(value >> $0 & 0xFF)) }))
    }
}
