/// Finds where the parts of a JSON text begin and end without reading them. Blanks between them are passed over. It
/// judges nothing: what is between two braces is JSON only when its decoder says so.
struct JSONScan {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool {
        mutating get {
            skipBlanks()
            return position == bytes.count
        }
    }

    private mutating func skipBlanks() {
        while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) { position += 1 }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipBlanks()
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    /// The inside of a string of plain ASCII without escapes.
    mutating func plainString() -> Substring? {
        skipBlanks()
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { return nil }
        var end = position + 1
        while end < bytes.count, bytes[end] != UInt8(ascii: "\"") {
            guard (0x20..<0x7F).contains(bytes[end]), bytes[end] != UInt8(ascii: "\\") else { return nil }
            end += 1
        }
        guard end < bytes.count else { return nil }
        defer { position = end + 1 }
        return text(position + 1..<end)
    }

    /// `true`, `false` or a whole number that is not negative.
    mutating func word() -> Substring? {
        skipBlanks()
        let start = position
        while position < bytes.count,
            (0x61...0x7A).contains(bytes[position]) || (0x30...0x39).contains(bytes[position])
        {
            position += 1
        }
        guard position > start else { return nil }
        let word = text(start..<position)
        let isNumber = word.utf8.allSatisfy { (0x30...0x39).contains($0) } && (word == "0" || word.first != "0")
        return isNumber || word == "true" || word == "false" ? word : nil
    }

    /// From brace to brace.
    mutating func object() -> Range<Int>? {
        skipBlanks()
        guard position < bytes.count, bytes[position] == UInt8(ascii: "{") else { return nil }
        let start = position
        var depth = 0
        var isInString = false
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): isInString.toggle()
            case UInt8(ascii: "\\") where isInString: position += 1
            case UInt8(ascii: "{") where !isInString, UInt8(ascii: "[") where !isInString: depth += 1
            case UInt8(ascii: "}") where !isInString, UInt8(ascii: "]") where !isInString:
                depth -= 1
                if depth == 0 { return start..<position }
            default: break
            }
        }
        return nil
    }

    private func text(_ range: Range<Int>) -> Substring {
        Substring(String(decoding: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self))
    }
}
