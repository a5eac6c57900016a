import Crypto
import FoundationEssentials
import Glibc

/// Where the bytes of attachments are. Files are named by their content's SHA-256, so that the same content is stored
/// once and a name can't lie.
public protocol BlobStore: Sendable {
    /// Makes the bytes durable: when this returns, a crash does not lose them. Storing what is there already does nothing.
    /// - Returns: the content's SHA-256 in lower-case hexadecimal.
    func store(_ bytes: [UInt8]) async throws -> String

    /// All bytes; nil if there is no such file.
    func read(_ sha256: String) async throws -> [UInt8]?
}

/// Files in a folder: `ab/cd/abcd…`. Written beside, synced, renamed, and the folders synced, in that order.
public struct DiskBlobStore: BlobStore {
    private let root: String
    private let queue: BlockingQueue

    public init(root: String) {
        self.root = root
        self.queue = BlockingQueue("sluice.files", width: 2, capacity: 256)
    }

    public func store(_ bytes: [UInt8]) async throws -> String {
        let name = SHA256.hash(data: bytes).hexadecimal
        let root = root
        try await queue.run {
            let folder = try DurableFiles.folder(root, for: name)
            let path = "\(folder)/\(name)"
            if DurableFiles.size(of: path) == bytes.count { return }
            let temporary = "\(folder)/.\(name).\(UUID().uuidString)"
            do {
                try DurableFiles.write(bytes, to: temporary)
                try DurableFiles.rename(temporary, to: path)
            } catch {
                unlink(temporary)
                throw error
            }
            try DurableFiles.sync(folder: folder)
        }
        return name
    }

    public func read(_ sha256: String) async throws -> [UInt8]? {
        // A name that is no hash can't be a path out of the folder either.
        guard sha256.utf8.count == 64, sha256.utf8.allSatisfy(\.isLowercaseHexadecimal) else { return nil }
        let path = "\(root)/\(sha256.prefix(2))/\(sha256.dropFirst(2).prefix(2))/\(sha256)"
        return try await queue.run { try DurableFiles.read(path) }
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

/// Why a file could not be handled: the call and the system's reason, no path.
struct FileError: Error, CustomStringConvertible {
    var call: String
    var code: Int32

    var description: String { "\(call): \(String(cString: strerror(code)))" }
    var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
}

/// The few blocking file calls that durability needs. Only on a `BlockingQueue`.
enum DurableFiles {
    /// Makes `root/ab/cd`, synced up to the root.
    static func folder(_ root: String, for name: String) throws -> String {
        let first = "\(root)/\(name.prefix(2))"
        let second = "\(first)/\(name.dropFirst(2).prefix(2))"
        if mkdir(second, 0o750) == 0 {
            try sync(folder: first)
        } else if errno == ENOENT {
            if mkdir(first, 0o750) != 0, errno != EEXIST { throw FileError(call: "mkdir", code: errno) }
            try sync(folder: root)
            if mkdir(second, 0o750) != 0, errno != EEXIST { throw FileError(call: "mkdir", code: errno) }
            try sync(folder: first)
        } else if errno != EEXIST {
            throw FileError(call: "mkdir", code: errno)
        }
        return second
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        guard file >= 0 else { throw FileError(call: "open", code: errno) }
        defer { close(file) }
        try append(bytes, to: file)
        guard fsync(file) == 0 else { throw FileError(call: "fsync", code: errno) }
    }

    static func append(_ bytes: some Collection<UInt8>, to file: Int32) throws {
        let written: Void? = try bytes.withContiguousStorageIfAvailable { buffer in
            var rest = UnsafeRawBufferPointer(buffer)
            while !rest.isEmpty {
                let count = Glibc.write(file, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw FileError(call: "write", code: errno)
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
        if written == nil { try append(Array(bytes), to: file) }
    }

    static func rename(_ from: String, to: String) throws {
        guard Glibc.rename(from, to) == 0 else { throw FileError(call: "rename", code: errno) }
    }

    static func sync(folder: String) throws {
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw FileError(call: "open", code: errno) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw FileError(call: "fsync", code: errno) }
    }

    /// Bytes; nil if there is no such file.
    static func size(of path: String) -> Int? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let end = lseek(file, 0, SEEK_END)
        return end >= 0 ? Int(end) : nil
    }

    /// Nil if there is none.
    static func read(_ path: String) throws -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw FileError(call: "open", code: errno)
        }
        defer { close(file) }
        let end = lseek(file, 0, SEEK_END)
        guard end >= 0, lseek(file, 0, SEEK_SET) == 0 else { throw FileError(call: "lseek", code: errno) }
        let size = Int(end)
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = Glibc.read(file, buffer.baseAddress.map { $0 + count }, size - count)
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
