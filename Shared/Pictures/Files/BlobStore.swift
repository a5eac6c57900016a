public import Model

/// Where the bytes of pictures are. Files are named by their content's SHA-256, so that the same content is stored once
/// and a name can't lie.
public protocol BlobStore: Sendable {
    /// Makes the bytes durable: when this returns, a crash does not lose them. What is there already is only marked as
    /// stored anew, so that a sweep leaves it alone.
    /// - Returns: the content's SHA-256 in lower-case hexadecimal.
    func store(_ bytes: [UInt8]) async throws -> String

    /// All bytes; nil if there is no such file.
    func read(_ sha256: String) async throws -> [UInt8]?

    /// The parts in which the store is swept, each small.
    func shelves() async throws -> [String]

    /// Removes from a shelf what was last stored before that time and has no row.
    ///
    /// Whoever stores a picture writes its row within a request, so a file without a row that nobody has stored for a
    /// day will never get one. The store sees to it that a file which is stored anew meanwhile stays.
    /// - Parameter named: which of these digests have a row.
    /// - Returns: how many files went.
    func sweep(
        _ shelf: String, before: Timestamp, named: @Sendable ([String]) async throws -> Set<String>
    ) async throws -> Int
}

/// The name of a file in the store.
public enum Digest {
    /// Whether this is a SHA-256 as we write it: 64 hexadecimal digits in lower case.
    public static func isDigest(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy(\.isLowercaseHexadecimal)
    }
}

extension UInt8 {
    var isLowercaseHexadecimal: Bool { (0x30...0x39).contains(self) || (0x61...0x66).contains(self) }
}

extension Sequence<UInt8> {
    var hexadecimal: String {
        var text: [UInt8] = []
        let digits = Array("0123456789abcdef".utf8)
        for byte in self {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
