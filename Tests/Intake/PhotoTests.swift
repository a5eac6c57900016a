import Foundation
import HandmadePictures
import Model
import Pictures
import ServiceKit
import Testing

@testable import IntakeService

@Suite("Photos", .timeLimit(.minutes(5)))
struct PhotoTests {
    private static func report(_ intake: RunningIntake) async throws -> String {
        try await intake.post("/v1/reports", ReportTests.routine).json(ReportTests.Receipt.self).code
    }

    struct Photos: Decodable, Equatable { var photos: [ReportTests.Receipt.Photo] }

    @Test(
        "photos behind the report's JSON are kept; what is wrong with one does not undo the report; a replay adds nothing"
    )
    func multipart() async throws {
        let intake = try await RunningIntake.shared()
        let device = RunningIntake.device()
        var form = MultipartForm()
        form.add("report", type: "application/json", try JSONSerialization.data(withJSONObject: ReportTests.routine))
        form.add("photo", fileName: "a.jpg", type: "image/jpeg", try DrawnPicture.make(".jpg"))
        form.add("photo", fileName: "b.jpg", type: "image/jpeg", Data("MZ this program cannot be run in DOS mode".utf8))
        let key = UUID().uuidString
        let first = try await intake.post("/v1/reports", data: form.body, type: form.type, device: device, key: key)
        #expect(first.status == 201)
        let receipt = try first.json(ReportTests.Receipt.self)
        #expect(receipt.photos.count == 2 && receipt.photos[0].sha256 != nil && receipt.photos[0].refused == nil)
        #expect(receipt.photos[1].sha256 == nil && receipt.photos[1].refused?.code == "not_a_picture")
        let again = try await intake.post("/v1/reports", data: form.body, type: form.type, device: device, key: key)
        #expect(try again.json(ReportTests.Receipt.self) == receipt)
        let count = try await intake.rows("SELECT count(*) FROM intake.attachment WHERE report_id = $1", [receipt.id])
        #expect(count == [["1"]])
    }

    @Test("a replay stores the photos that the first try did not get to")
    func missingPhotos() async throws {
        let intake = try await RunningIntake.shared()
        let device = RunningIntake.device()
        let key = UUID().uuidString
        let json = try JSONSerialization.data(withJSONObject: ReportTests.routine)
        var cut = MultipartForm()
        cut.add("report", type: "application/json", json)
        let first = try await intake.post("/v1/reports", data: cut.body, type: cut.type, device: device, key: key)
        var whole = MultipartForm()
        whole.add("report", type: "application/json", json)
        whole.add("photo", type: "image/png", try DrawnPicture.make(".png"))
        let second = try await intake.post("/v1/reports", data: whole.body, type: whole.type, device: device, key: key)
        let receipt = try second.json(ReportTests.Receipt.self)
        #expect(try receipt.id == first.json(ReportTests.Receipt.self).id)
        #expect(receipt.photos.count == 1 && receipt.photos[0].sha256 != nil)
    }

    @Test("a full disk costs the photo and not the receipt")
    func fullDisk() async throws {
        let intake = try await RunningIntake.shared()
        var form = MultipartForm()
        form.add("report", type: "application/json", try JSONSerialization.data(withJSONObject: ReportTests.routine))
        form.add("photo", type: "image/jpeg", try DrawnPicture.make(".jpg", width: FillingStore.tooMuch))
        form.add("photo", type: "image/jpeg", try DrawnPicture.make(".jpg", width: FillingStore.tooMuch + 1))
        let answer = try await intake.post("/v1/reports", data: form.body, type: form.type)
        #expect(answer.status == 201)
        let receipt = try answer.json(ReportTests.Receipt.self)
        #expect(!receipt.code.isEmpty && receipt.photos.map(\.refused?.code) == ["storage_full", nil])
        // By itself it is told as it is: the sender can come again.
        let alone = try await intake.post(
            "/v1/reports/\(receipt.code)/attachments", data: try DrawnPicture.make(".jpg", width: FillingStore.tooMuch),
            type: "image/jpeg")
        #expect(alone.status == 507)
    }

    @Test("what is wrong with the body behind the report is told once, and the receipt is given")
    func brokenBody() async throws {
        let intake = try await RunningIntake.shared()
        let json = try JSONSerialization.data(withJSONObject: ReportTests.routine)
        var long = MultipartForm()
        long.add("report", type: "application/json", json)
        for _ in 0..<16 { long.add("photo", type: "image/jpeg", Data(repeating: 0x4D, count: 100_000)) }
        var cut = MultipartForm()
        cut.add("report", type: "application/json", json)
        for _ in 0..<2 { cut.add("photo", type: "image/jpeg", Data(repeating: 0x4D, count: 100_000)) }
        for (body, type, code) in [
            (long.body, long.type, "too_many_parts"), (Data(cut.body.dropLast(10)), cut.type, "multipart"),
        ] {
            let answer = try await intake.post("/v1/reports", data: body, type: type)
            #expect(answer.status == 201)
            let receipt = try answer.json(ReportTests.Receipt.self)
            #expect(receipt.photos.first?.refused?.code == "not_a_picture")
            #expect(receipt.photos.last?.refused?.code == code)
            #expect(receipt.photos.count { $0.refused?.code == code } == 1)
        }
    }

    @Test("the report part comes first")
    func order() async throws {
        let intake = try await RunningIntake.shared()
        var form = MultipartForm()
        form.add("photo", type: "image/jpeg", Data("x".utf8))
        let answer = try await intake.post("/v1/reports", data: form.body, type: form.type)
        #expect(answer.status == 422 && answer.blamed == ["report"])
    }

    @Test(
        "each format becomes a picture of ours, without anything that the camera wrote",
        arguments: [
            ".jpg", ".png", ".webp", ".heic",
        ])
    func formats(suffix: String) async throws {
        let intake = try await RunningIntake.shared()
        let code = try await Self.report(intake)
        let answer = try await intake.post(
            "/v1/reports/\(code)/attachments", data: try DrawnPicture.make(suffix), type: "image/jpeg")
        #expect(answer.status == 201)
        let photo = try #require(try answer.json(Photos.self).photos.first)
        let sha256 = try #require(photo.sha256)
        for (path, largest) in [("", 640), ("&size=thumbnail", 400)] {
            let shown = try await intake.send(.get, "/v1/attachments/\(sha256)?code=\(code)\(path)")
            #expect(shown.status == 200)
            #expect(shown.headers["content-type"] == ["image/jpeg"])
            #expect(shown.headers["x-content-type-options"] == ["nosniff"])
            #expect(shown.headers["content-security-policy"]?.first?.contains("sandbox") == true)
            let header = try PictureHeader(Array(shown.bytes))
            #expect(header.format == .jpeg && max(header.width, header.height) == largest)
            #expect(CameraFacts(of: Array(shown.bytes), format: .jpeg, zoneMinutes: 0) == CameraFacts())
        }
    }

    @Test("time and place of a photo are read before they are stripped")
    func cameraFacts() async throws {
        let intake = try await RunningIntake.shared()
        let code = try await Self.report(intake)
        var picture = Array(try DrawnPicture.make(".jpg"))
        picture.insert(contentsOf: HandmadePicture.jpegSegment(HandmadePicture.exif(offset: true)), at: 2)
        let answer = try await intake.post("/v1/reports/\(code)/attachments", data: Data(picture), type: "image/jpeg")
        let sha256 = try #require(try answer.json(Photos.self).photos.first?.sha256)
        let rows = try await intake.rows(
            """
            SELECT taken_at AT TIME ZONE 'UTC', round(lon::numeric, 2), round(lat::numeric, 2), width < height
            FROM intake.attachment JOIN intake.blob USING (sha256) WHERE sha256 = $1
            """, [sha256])
        // Orientation 6: the camera was held upright, so the picture is turned.
        #expect(rows == [["2026-07-01 08:30:05", "114.06", "22.54", "t"]])
    }

    @Test("a program, a monster, a torso and a giant are refused by field")
    func refusals() async throws {
        let intake = try await RunningIntake.shared()
        let path = "/v1/reports/\(try await Self.report(intake))/attachments"
        let program = try await intake.post(path, data: Data("MZ\u{90}\0program".utf8), type: "image/jpeg")
        #expect(program.status == 415 && program.blamed == ["body"])
        let monster = try await intake.post(
            path, data: Data(HandmadePicture.png(width: 30_000, height: 30_000)), type: "image/png")
        #expect(monster.status == 422 && monster.blamed == ["body"])
        let torso = try await intake.post(path, data: try DrawnPicture.make(".jpg").prefix(9_000), type: "image/jpeg")
        #expect(torso.status == 422 && torso.blamed == ["body"])
        var undecodable = HandmadePicture.jpeg(width: 64, height: 48)
        undecodable.insert(contentsOf: [0xFF, 0xC4, 0, 4, 1, 2], at: 2)
        let broken = try await intake.post(path, data: Data(undecodable), type: "image/jpeg")
        #expect(broken.status == 422)
        var form = MultipartForm()
        form.add("picture", type: "image/jpeg", try DrawnPicture.make(".jpg") + Data(count: UploadFile.limit))
        let giant = try await intake.post(path, data: form.body, type: form.type)
        #expect(giant.status == 413 && giant.blamed == ["picture[0]"])
        let none = try await intake.post(path, data: Data("{}".utf8), type: "application/json")
        #expect(none.status == 415)
    }

    @Test("six photos and no more")
    func six() async throws {
        let intake = try await RunningIntake.shared()
        let path = "/v1/reports/\(try await Self.report(intake))/attachments"
        for number in 1...7 {
            let picture = try DrawnPicture.make(".jpg", width: 20 + number, height: 20)
            let answer = try await intake.post(path, data: picture, type: "image/jpeg")
            #expect(answer.status == (number <= 6 ? 201 : 422))
        }
    }

    @Test("a photo is shown to the report's sender and to its district, and to nobody else")
    func visibility() async throws {
        let intake = try await RunningIntake.shared()
        let code = try await Self.report(intake)
        let answer = try await intake.post(
            "/v1/reports/\(code)/attachments", data: try DrawnPicture.make(".jpg", width: 333), type: "image/jpeg")
        let sha256 = try #require(try answer.json(Photos.self).photos.first?.sha256)
        let path = "/v1/attachments/\(sha256)"
        #expect(try await intake.send(.get, path).status == 401)
        #expect(try await intake.send(.get, "\(path)?code=\(try await Self.report(intake))").status == 404)
        for (district, status) in [(SmallCity.first, 200), (SmallCity.second, 404)] {
            let login = "d-\(UUID().uuidString.lowercased().prefix(8))"
            try await intake.account(login, [.dispatcher], districts: [try #require(.init(district))])
            let token = try #require(try await intake.signIn(login).accessToken)
            #expect(try await intake.send(.get, path, headers: ["Authorization": "Bearer \(token)"]).status == status)
        }
        #expect(try await intake.send(.get, "/v1/attachments/..%2F..%2Fetc%2Fpasswd?code=\(code)").status == 404)
    }

    @Test("a picture whose row was never written goes after a day; what a photo names stays")
    func sweep() async throws {
        let intake = try await RunningIntake.shared()
        let path = "/v1/reports/\(try await Self.report(intake))/attachments"
        let answer = try await intake.post(path, data: try DrawnPicture.make(".jpg"), type: "image/jpeg")
        let photo = try #require(try answer.json(Photos.self).photos.first)
        let kept = [try #require(photo.sha256), try #require(photo.thumbnailSha256)]
        let folder = try #require(intake.context.configuration.attachmentsDirectory)
        let store = DiskBlobStore(root: folder)
        let orphan = try await store.store(Array(UUID().uuidString.utf8))
        for name in kept + [orphan] {
            let file = "\(folder)/\(name.prefix(2))/\(name.dropFirst(2).prefix(2))/\(name)"
            try FileManager.default.setAttributes([.modificationDate: Date() - 2 * 86_400], ofItemAtPath: file)
        }
        _ = try await intake.service.sweep.once()
        #expect(try await store.read(orphan) == nil)
        for name in kept { #expect(try await store.read(name) != nil) }
    }
}
