import Foundation
import HTTPTypes
import HandmadePictures
import Logging
import Model
import ServiceKit
import Testing

@testable import Pictures

@Suite("Making pictures", .timeLimit(.minutes(2)))
struct PictureMakingTests {
    @Test("a good photo that the machine has no time for is told to come again, and is taken then")
    func late() async throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("making-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let file = try await UploadFile.create(in: root, queue: BlockingQueue("test.uploads", capacity: 8))
        try await file.append(Array(try DrawnPicture.make(".jpg")))
        func taker(_ workshop: PictureWorkshop) -> PictureTaker {
            PictureTaker(
                blobs: DiskBlobStore(root: root), zoneMinutes: 0,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                workshop: workshop)
        }
        let now = Timestamp(secondsSince1970: Date().timeIntervalSince1970)
        // Shorter than any process takes to start.
        let hurried = taker(PictureWorkshop(wallLimit: .milliseconds(1)))
        let problem = await #expect(throws: Problem.self) { try await hurried.take(file, field: "photo", now: now) }
        #expect(problem?.status == .serviceUnavailable && problem?.headers[.retryAfter] == "30")
        let taken = try await taker(PictureWorkshop()).take(file, field: "photo", now: now)
        #expect(taken.full.width == 640 && taken.thumbnail.width == 400)
    }

    @Test("who has waited for as long as it has patience is turned away, and nobody's turn is lost by it")
    func patience() async throws {
        let turnstile = Turnstile(width: 1)
        let hadTurn = try await turnstile.run {
            await #expect(throws: Turnstile.Busy.self) {
                try await turnstile.run(within: .milliseconds(1)) { true }
            }
            return true
        }
        let isFree = try await turnstile.run(within: .milliseconds(1)) { true }
        #expect(hadTurn && isFree)
    }
}
