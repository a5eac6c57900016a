import Foundation
import Model

@testable import Pictures

/// Pictures on a disk that has no room for those of one width.
struct FillingStore: BlobStore {
    /// Pixels.
    static let tooMuch = 77

    let disk: DiskBlobStore

    func store(_ bytes: [UInt8]) async throws -> String {
        if let header = try? PictureHeader(bytes), header.width == Self.tooMuch {
            throw FileError(call: "write", code: ENOSPC)
        }
        return try await disk.store(bytes)
    }

    func read(_ sha256: String) async throws -> [UInt8]? { try await disk.read(sha256) }

    func shelves() async throws -> [String] { try await disk.shelves() }

    func sweep(
        _ shelf: String, before: Timestamp, named: @Sendable ([String]) async throws -> Set<String>
    ) async throws -> Int {
        try await disk.sweep(shelf, before: before, named: named)
    }
}
