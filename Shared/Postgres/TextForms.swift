import FoundationEssentials

// The server's text forms of values, read from and written to plain bytes.

enum IntegerText {
    static func value<T: FixedWidthInteger>(of bytes: UnsafeBufferPointer<UInt8>, as type: T.Type) -> T? {
        var index = 0
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative { index = 1 }
        guard index < bytes.count else { return nil }
        var value: T = 0
        while index < bytes.count {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) =
                isNegative
                ? product.subtractingReportingOverflow(T(digit)) : product.addingReportingOverflow(T(digit))
            guard !overflowed, !carried else { return nil }
            value = sum
            index += 1
        }
        return value
    }
}

enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    static func text(of bytes: [UInt8]) -> String {
        String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
            for (index, byte) in bytes.enumerated() {
                buffer[index * 2] = digits[Int(byte >> 4)]
                buffer[index * 2 + 1] = digits[Int(byte & 15)]
            }
            return bytes.count * 2
        }
    }

    /// Of the form `\x68656c6c6f`.
    static func bytes(of text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard text.count >= 2, text.count.isMultiple(of: 2), text[0] == UInt8(ascii: "\\"), text[1] == UInt8(ascii: "x")
        else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2 - 1)
        var index = 2
        while index < text.count {
            guard let high = nibble(text[index]), let low = nibble(text[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
            index += 2
        }
        return bytes
    }

    static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

enum UUIDText {
    static func text(of uuid: UUID) -> String {
        let digits = withUnsafeBytes(of: uuid.uuid) { Hex.text(of: Array($0)) }
        var text = ""
        text.reserveCapacity(36)
        var rest = Substring(digits)
        for length in [8, 4, 4, 4] {
            text += rest.prefix(length)
            text += "-"
            rest = rest.dropFirst(length)
        }
        return text + rest
    }

    static func value(of text: UnsafeBufferPointer<UInt8>) -> UUID? {
        guard text.count == 36 else { return nil }
        var uuid: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        let isWellFormed = withUnsafeMutableBytes(of: &uuid) { bytes in
            var position = 0
            for index in 0..<16 {
                if position == 8 || position == 13 || position == 18 || position == 23 {
                    guard text[position] == UInt8(ascii: "-") else { return false }
                    position += 1
                }
                guard let high = Hex.nibble(text[position]), let low = Hex.nibble(text[position + 1]) else {
                    return false
                }
                bytes[index] = high << 4 | low
                position += 2
            }
            return true
        }
        return isWellFormed ? UUID(uuid: uuid) : nil
    }
}

enum ArrayText {
    /// `{"a","b",NULL}`: every element quoted, so that commas, braces, blanks and the word NULL are safe.
    static func text(of elements: [String?]) -> String {
        var text: [UInt8] = [UInt8(ascii: "{")]
        text.reserveCapacity(elements.reduce(2) { $0 + ($1?.utf8.count ?? 4) + 3 })
        for (index, element) in elements.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            guard let element else {
                text.append(contentsOf: "NULL".utf8)
                continue
            }
            text.append(UInt8(ascii: "\""))
            for byte in element.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { text.append(UInt8(ascii: "\\")) }
                text.append(byte)
            }
            text.append(UInt8(ascii: "\""))
        }
        text.append(UInt8(ascii: "}"))
        return String(decoding: text, as: UTF8.self)
    }

    /// One dimension; nil if malformed or of more.
    static func elements(of text: UnsafeBufferPointer<UInt8>) -> [String?]? {
        // An array that does not begin at 1 shows its bounds first: `[0:1]={…}`.
        guard var index = text.firstIndex(of: UInt8(ascii: "{")) else { return nil }
        index += 1
        var elements: [String?] = []
        var element: [UInt8] = []
        if index < text.count, text[index] == UInt8(ascii: "}") { return index == text.count - 1 ? [] : nil }
        while index < text.count {
            element.removeAll(keepingCapacity: true)
            let isQuoted = text[index] == UInt8(ascii: "\"")
            if isQuoted { index += 1 }
            scan: while true {
                guard index < text.count else { return nil }
                switch text[index] {
                case UInt8(ascii: "\\"):
                    index += 1
                    guard index < text.count else { return nil }
                    element.append(text[index])
                case UInt8(ascii: "\"") where isQuoted: break scan
                case UInt8(ascii: ",") where !isQuoted, UInt8(ascii: "}") where !isQuoted: break scan
                case UInt8(ascii: "{") where !isQuoted: return nil
                default: element.append(text[index])
                }
                index += 1
            }
            if isQuoted { index += 1 }
            elements.append(!isQuoted && element == Array("NULL".utf8) ? nil : String(decoding: element, as: UTF8.self))
            guard index < text.count else { return nil }
            if text[index] == UInt8(ascii: "}") { return index == text.count - 1 ? elements : nil }
            guard text[index] == UInt8(ascii: ",") else { return nil }
            index += 1
        }
        return nil
    }
}
