public import FoundationEssentials

/// The canonical text of a UUID by hand: Foundation's goes through `printf` and `scanf`, and an event has a dozen of them.
extension UUID {
    private static let digits = Array("0123456789abcdef".utf8)
    /// Before which bytes a dash stands.
    private static func hasDash(before index: Int) -> Bool { index == 4 || index == 6 || index == 8 || index == 10 }

    /// Lower case, as PostgreSQL prints it.
    public var lowercaseText: String {
        withUnsafeBytes(of: uuid) { bytes in
            String(unsafeUninitializedCapacity: 36) { text in
                var position = 0
                for index in 0..<16 {
                    if Self.hasDash(before: index) {
                        text[position] = UInt8(ascii: "-")
                        position += 1
                    }
                    text[position] = Self.digits[Int(bytes[index] >> 4)]
                    text[position + 1] = Self.digits[Int(bytes[index] & 15)]
                    position += 2
                }
                return position
            }
        }
    }

    /// Nil for anything but 36 characters of the canonical form, in either case.
    public init?(canonical text: some StringProtocol) {
        var digits = text.utf8.makeIterator()
        func nibble() -> UInt8? {
            switch digits.next() {
            case let byte? where (0x30...0x39).contains(byte): byte - 0x30
            case let byte? where (0x61...0x66).contains(byte): byte - 0x61 + 10
            case let byte? where (0x41...0x46).contains(byte): byte - 0x41 + 10
            default: nil
            }
        }
        var value: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        let isWellFormed = withUnsafeMutableBytes(of: &value) { bytes in
            for index in 0..<16 {
                if Self.hasDash(before: index), digits.next() != UInt8(ascii: "-") { return false }
                guard let high = nibble(), let low = nibble() else { return false }
                bytes[index] = high << 4 | low
            }
            return digits.next() == nil
        }
        guard isWellFormed else { return nil }
        self.init(uuid: value)
    }
}
