internal import Glibc

/// A file in pieces, so that a large one is never in memory whole.
struct FileChunks: Sequence, Sendable {
    let path: String
    static let size = 1 << 18

    init(_ path: String) throws {
        guard access(path, R_OK) == 0 else { throw CommandFailure("\(path) cannot be read") }
        self.path = path
    }

    func makeIterator() -> AnyIterator<[UInt8]> {
        let reader = FileReader(path)
        return AnyIterator { reader.next() }
    }
}

private final class FileReader {
    private let descriptor: Int32

    init(_ path: String) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    func next() -> [UInt8]? {
        guard descriptor >= 0 else { return nil }
        let bytes = [UInt8](unsafeUninitializedCapacity: FileChunks.size) { buffer, count in
            count = Swift.max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        return bytes.isEmpty ? nil : bytes
    }
}
