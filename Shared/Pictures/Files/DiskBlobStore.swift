import Crypto
import FoundationEssentials
import Glibc
public import Model
import ServiceKit

/// Files in a folder: `ab/cd/abcd…`. Written beside, synced, renamed, and the folders synced, in that order.
///
/// Storing holds a shared lock on the leaf folder (`flock`, which a crash lets go of), removing an exclusive one. So a
/// sweep that finds a file old under its lock knows that nobody has stored it since, and whoever comes after the sweep
/// finds it gone and writes it again.
public struct DiskBlobStore: BlobStore {
    /// Digests that one question about rows holds at most.
    private static let batch = 500

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
            try DurableFiles.locked(folder, LOCK_SH) {
                if DurableFiles.size(of: path) == bytes.count, DurableFiles.touch(path) { return }
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
        }
        return name
    }

    public func read(_ sha256: String) async throws -> [UInt8]? {
        // A name that is no hash can't be a path out of the folder either.
        guard Digest.isDigest(sha256) else { return nil }
        let path = "\(root)/\(sha256.prefix(2))/\(sha256.dropFirst(2).prefix(2))/\(sha256)"
        return try await queue.run { try DurableFiles.read(path) }
    }

    // MARK: - Sweeping

    public func shelves() async throws -> [String] {
        let root = root
        return try await queue.run {
            try DurableFiles.names(in: root).filter(Self.isShelf).flatMap { first in
                try DurableFiles.names(in: "\(root)/\(first)").filter(Self.isShelf).map { "\(first)/\($0)" }
            }.sorted()
        }
    }

    private static func isShelf(_ name: String) -> Bool {
        name.utf8.count == 2 && name.utf8.allSatisfy(\.isLowercaseHexadecimal)
    }

    public func sweep(
        _ shelf: String, before: Timestamp, named: @Sendable ([String]) async throws -> Set<String>
    ) async throws -> Int {
        let folder = "\(root)/\(shelf)"
        let old = try await queue.run {
            try DurableFiles.names(in: folder).filter { DurableFiles.isOlder("\(folder)/\($0)", than: before) }
        }
        // A crash in the middle of storing leaves a file with a dot before its name; it has no row by its nature.
        var gone = old.filter { $0.hasPrefix(".") && Digest.isDigest($0.dropFirst().prefix(64)) }
        var digests = old.filter { Digest.isDigest($0) }[...]
        while !digests.isEmpty {
            let asked = Array(digests.prefix(Self.batch))
            digests = digests.dropFirst(Self.batch)
            let kept = try await named(asked)
            gone += asked.filter { !kept.contains($0) }
        }
        guard !gone.isEmpty else { return 0 }
        return try await queue.run { [gone] in
            try DurableFiles.locked(folder, LOCK_EX) {
                gone.count { name in
                    // Looked at again under the lock: it may have been stored anew since.
                    let path = "\(folder)/\(name)"
                    return DurableFiles.isOlder(path, than: before) && unlink(path) == 0
                }
            }
        }
    }
}
