import Foundation
import Logging
import Model
import Synchronization
import Testing

@testable import Pictures

/// On real files.
@Suite("Pictures on disk")
struct BlobStoreTests {
    private struct Place {
        let root: String
        let store: DiskBlobStore

        init() throws {
            root = FileManager.default.temporaryDirectory.appendingPathComponent("blobs-\(UUID().uuidString)").path
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            store = DiskBlobStore(root: root)
        }

        func path(_ name: String) -> String { "\(root)/\(name.prefix(2))/\(name.dropFirst(2).prefix(2))/\(name)" }
        func isThere(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

        func age(_ path: String, days: Double = 2) throws {
            try FileManager.default.setAttributes(
                [.modificationDate: Date() - days * 86_400], ofItemAtPath: path)
        }

        func stored(_ text: String, days: Double = 2) async throws -> String {
            let name = try await store.store(Array(text.utf8))
            try age(path(name), days: days)
            return name
        }

        func sweep(
            named: @escaping @Sendable ([String]) async throws -> Set<String> = { _ in [] }
        ) async throws -> Int {
            try await PictureSweep(
                of: store, now: { Timestamp(secondsSince1970: Date().timeIntervalSince1970) },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, pause: .zero, named: named
            ).once()
        }
    }

    private func place(_ body: (Place) async throws -> Void) async throws {
        let place = try Place()
        defer { try? FileManager.default.removeItem(atPath: place.root) }
        try await body(place)
    }

    @Test("the same content is one file, by the name of its digest, and is read back")
    func contents() async throws {
        try await place { place in
            let name = try await place.store.store(Array("one".utf8))
            #expect(name == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
            #expect(try await place.store.store(Array("one".utf8)) == name)
            #expect(try await place.store.read(name) == Array("one".utf8))
            #expect(try await place.store.read(String(repeating: "0", count: 64)) == nil)
            #expect(try await place.store.read("../../etc/passwd") == nil)
        }
    }

    @Test("a sweep removes what is older than a day and has no row, and nothing else")
    func sweeps() async throws {
        try await place { place in
            let named = try await place.stored("named")
            let orphan = try await place.stored("orphan")
            let young = try await place.stored("young", days: 0.9)
            let torso = place.path(orphan) + "x"
            try FileManager.default.copyItem(atPath: place.path(orphan), toPath: torso)
            // What a crash in the middle of storing leaves.
            let halfway = "\(place.root)/\(young.prefix(2))/\(young.dropFirst(2).prefix(2))/.\(young).1234"
            try Data("half".utf8).write(to: URL(fileURLWithPath: halfway))
            try place.age(halfway)
            try place.age(torso)
            #expect(try await place.sweep { $0.contains(named) ? [named] : [] } == 2)
            #expect(place.isThere(named) && place.isThere(young) && !place.isThere(orphan))
            #expect(!FileManager.default.fileExists(atPath: halfway))
            // No name of ours: somebody else's affair.
            #expect(FileManager.default.fileExists(atPath: torso))
        }
    }

    @Test("what is uploaded again while the sweep asks for its row stays")
    func uploadUnderWay() async throws {
        try await place { place in
            let name = try await place.stored("again")
            let swept = try await place.sweep { digests in
                // The upload comes between the question and the removal; its row is not there yet.
                _ = try await place.store.store(Array("again".utf8))
                return []
            }
            #expect(swept == 0)
            #expect(place.isThere(name))
        }
    }

    @Test("uploads and sweeps of the same old pictures at the same time never lose one that was stored")
    func race() async throws {
        try await place { place in
            for round in 0..<40 {
                let texts = (0..<4).map { "picture \(round) \($0)" }
                for text in texts { _ = try await place.stored(text) }
                let names = try await withThrowingTaskGroup(of: String?.self) { group in
                    for _ in 0..<2 {
                        group.addTask {
                            _ = try await place.sweep()
                            return nil
                        }
                    }
                    for text in texts { group.addTask { try await place.store.store(Array(text.utf8)) } }
                    return try await group.reduce(into: [String]()) { if let name = $1 { $0.append(name) } }
                }
                for name in names { #expect(place.isThere(name)) }
            }
        }
    }

    @Test("a question about rows is bounded, however many pictures lie together")
    func batches() async throws {
        try await place { place in
            let folder = "\(place.root)/ab/cd"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for number in 0..<1_203 {
                let name = "abcd" + String(repeating: "0", count: 56) + String(format: "%04d", number)
                try Data().write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
                try place.age("\(folder)/\(name)")
            }
            let asked = Mutex<[Int]>([])
            #expect(
                try await place.sweep { digests in
                    asked.withLock { $0.append(digests.count) }
                    return []
                } == 1_203)
            #expect(asked.withLock { $0 } == [500, 500, 203])
        }
    }

    @Test("if nobody can say which pictures have rows, nothing goes")
    func noAnswer() async throws {
        struct Down: Error {}
        try await place { place in
            let name = try await place.stored("kept")
            await #expect(throws: Down.self) { try await place.sweep { _ in throw Down() } }
            #expect(place.isThere(name))
        }
    }
}
