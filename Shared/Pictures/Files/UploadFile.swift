import Crypto
import FoundationEssentials
import Glibc
import ServiceKit
import Synchronization

/// A file that is still coming in: written as it arrives, hashed on the way, and gone when nobody holds it any more.
/// It has no name in the folder from the start, so that not even a crash leaves it behind.
public final class UploadFile: Sendable {
    /// One photo's limit.
    public static let limit = 15 * 1_024 * 1_024

    private struct State {
        var hash = SHA256()
        var size = 0
    }

    let descriptor: Int32
    private let state = Mutex(State())
    private let queue: BlockingQueue

    struct TooLarge: Error {}

    /// - Parameter folder: on the file system of the attachments.
    static func create(in folder: String, queue: BlockingQueue) async throws -> UploadFile {
        let descriptor = try await queue.run {
            let file = open(folder, O_RDWR | O_CLOEXEC | oTemporaryFile, 0o600)
            guard file >= 0 else { throw FileError(call: "open", code: errno) }
            return file
        }
        return UploadFile(descriptor: descriptor, queue: queue)
    }

    private init(descriptor: Int32, queue: BlockingQueue) {
        self.descriptor = descriptor
        self.queue = queue
    }

    deinit { close(descriptor) }

    /// Throws `TooLarge` once more has come than a photo may have.
    func append(_ bytes: [UInt8]) async throws {
        let isTooLarge = state.withLock { state in
            state.size += bytes.count
            state.hash.update(data: bytes)
            return state.size > Self.limit
        }
        if isTooLarge { throw TooLarge() }
        let descriptor = descriptor
        try await queue.run { try DurableFiles.append(bytes, to: descriptor) }
    }

    public var size: Int { state.withLock(\.size) }

    /// SHA-256 of what came, in lower-case hexadecimal.
    public var sha256: String { state.withLock { $0.hash.finalize().hexadecimal } }

    func readAll() async throws -> [UInt8] {
        let descriptor = descriptor
        let size = size
        return try await queue.run {
            try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
                while count < size {
                    let got = pread(descriptor, buffer.baseAddress.map { $0 + count }, size - count, count)
                    if got < 0 {
                        if errno == EINTR { continue }
                        throw FileError(call: "read", code: errno)
                    }
                    if got == 0 { break }
                    count += got
                }
            }
        }
    }
}

/// O_TMPFILE, which Swift's view of the C header leaves out.
private let oTemporaryFile: Int32 = 0o20200000
