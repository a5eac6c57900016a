import Foundation
import HTTPTypes
import HandmadePictures
import Model
import Pictures
import Postgres
import ServiceKit
import Testing

@testable import DispatchService

@Suite("Photos of the work", .timeLimit(.minutes(5)))
struct OrderPhotoTests {
    private struct Scene: Sendable {
        var stage: Stage
        var caller: Caller
        var crew: Crew.ID
        var token: String
        var order: OrderRecord

        var path: String { "/v1/orders/\(order.orderID)/attachments" }
        func staff(_ role: Role = .dispatcher, in district: District.ID? = nil) throws -> String {
            try stage.token([role], districts: [district ?? stage.district])
        }

        func send(
            _ picture: Data, id: UUID = UUID(), kind: String = "after", at: String? = nil, token: String? = nil,
            key: String = UUID().uuidString, type: String = "image/jpeg"
        ) async throws -> Answer {
            let at = at ?? "\(stage.context.sources.now())"
            return try await caller.post(
                "\(path)?id=\(id.uuidString.lowercased())&kind=\(kind)&observed_at=\(at)", token ?? self.token, picture,
                type: type, key: key)
        }

        func photos() async throws -> Int {
            try await stage.count("SELECT count(*) FROM dispatch.order_attachment WHERE order_id = \(order.orderID)")
        }

        /// Those that the live stream shows.
        func shown() async throws -> Int {
            try await stage.count(
                """
                SELECT count(*) FROM dispatch.live_event
                WHERE kind = 'order.photo' AND body ->> 'order_id' = \("\(order.orderID)")
                      AND body ->> 'case_id' = \("\(order.caseID)") AND district_id = \(order.districtID)
                """)
        }
    }

    private func scene(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        try await Stage.with { stage in
            let account = Account.ID(UUID())
            let crew = try await stage.crew(account: account)
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            try await stage.claiming.claimEmergencies()
            let order = try #require(try await stage.orders().first)
            let token = try stage.token([.crew], account: account)
            try await stage.serving { caller in
                try await body(Scene(stage: stage, caller: caller, crew: crew, token: token, order: order))
            }
        }
    }

    @Test(
        "A photo is kept as a picture of ours, with what its camera wrote beside it, and shown with its order and case")
    func kept() async throws {
        try await scene { scene in
            var picture = Array(try DrawnPicture.make(".jpg"))
            picture.insert(contentsOf: HandmadePicture.jpegSegment(HandmadePicture.exif(offset: true)), at: 2)
            let answer = try await scene.send(Data(picture), kind: "before")
            #expect(answer.status == 201, "\(answer.text)")
            #expect(answer.string("kind") == "before")
            #expect(answer.string("taken_at") == "2026-07-01T08:30:05.000000Z")
            guard case .number(let lon) = answer["lon"] else { throw Failed("no place") }
            #expect(abs(lon - 114.06) < 0.001)
            // Orientation 6: the camera was held upright, so the picture is turned.
            #expect(answer.integer("width") == 480 && answer.integer("height") == 640)

            let order = try await scene.caller.get("/v1/orders/\(scene.order.orderID)", scene.token)
            let file = try await scene.caller.get("/v1/cases/\(scene.order.caseID)", scene.staff())
            let url = try #require(answer.string("url"))
            #expect(order.string("photos.0.url") == url, "\(order.text)")
            #expect(file.string("order_photos.0.url") == url, "\(file.text)")
            #expect(file.string("order_photos.0.kind") == "before")
            for (address, longest) in [(url, 640), (try #require(answer.string("thumbnail_url")), 400)] {
                let shown = try await scene.caller.get(address, scene.staff(.manager))
                #expect(shown.status == 200)
                #expect(shown.headers[.contentType] == "image/jpeg")
                #expect(shown.headers[.contentSecurityPolicy]?.contains("sandbox") == true)
                let header = try PictureHeader(shown.bytes)
                #expect(max(header.width, header.height) == longest)
                #expect(CameraFacts(of: shown.bytes, format: .jpeg, zoneMinutes: 0) == CameraFacts())
            }
        }
    }

    @Test("The same photo is one: under its key, under its id, and under another id; another photo may not take its id")
    func replays() async throws {
        try await scene { scene in
            let picture = try DrawnPicture.make(".png")
            let id = UUID()
            let at = "\(scene.stage.context.sources.now())"
            let first = try await scene.send(picture, id: id, at: at, key: "key-number-1", type: "image/png")
            #expect(first.status == 201 && first["replayed"] == .bool(false), "\(first.text)")
            let again = try await scene.send(picture, id: id, at: at, key: "key-number-1", type: "image/png")
            #expect(again.text == first.text)
            let mismatch = try await scene.send(
                picture, id: id, kind: "before", at: at, key: "key-number-1", type: "image/png")
            #expect(mismatch.status == 422 && mismatch.string("code") == "idempotency_mismatch")
            for other in [id, UUID()] {
                let replay = try await scene.send(picture, id: other, kind: "before", type: "image/png")
                #expect(replay.status == 201 && replay["replayed"] == .bool(true), "\(replay.text)")
                #expect(replay.string("id") == first.string("id") && replay.string("kind") == "after")
            }
            let taken = try await scene.send(try DrawnPicture.make(".png", width: 40), id: id, type: "image/png")
            #expect(taken.status == 409 && taken.string("code") == "id_taken", "\(taken.text)")
            #expect(try await scene.photos() == 1)
            #expect(try await scene.shown() == 1)
        }
    }

    @Test("Equal photos at the same moment are one row, and each sender is answered")
    func together() async throws {
        try await scene { scene in
            let picture = try DrawnPicture.make(".jpg")
            let id = UUID()
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<5 { group.addTask { try await scene.send(picture, id: id) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 201 }, "\(answers.map(\.text))")
            #expect(answers.count { $0["replayed"] == .bool(false) } == 1)
            #expect(try await scene.photos() == 1)
        }
    }

    @Test("A form does as well as a bare picture, and says what it lacks")
    func form() async throws {
        try await scene { scene in
            func form(_ fields: [(String, String)], photos: [Data]) -> Data {
                var body = Data()
                for (name, value) in fields {
                    body += Data("--x\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n".utf8)
                }
                for photo in photos {
                    body += Data(
                        "--x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n\r\n".utf8)
                    body += photo + Data("\r\n".utf8)
                }
                return body + Data("--x--\r\n".utf8)
            }
            func send(_ fields: [(String, String)], photos: [Data]) async throws -> Answer {
                try await scene.caller.post(
                    scene.path, scene.token, form(fields, photos: photos), type: "multipart/form-data; boundary=x")
            }
            let picture = try DrawnPicture.make(".jpg")
            let fields = [
                ("id", UUID().uuidString.lowercased()), ("kind", "during"),
                ("observed_at", "\(scene.stage.context.sources.now())"),
            ]
            let good = try await send(fields, photos: [picture])
            #expect(good.status == 201 && good.string("kind") == "during", "\(good.text)")
            for missing in 0..<3 {
                var some = fields
                let name = some.remove(at: missing).0
                let answer = try await send(some, photos: [picture])
                #expect(answer.status == 422 && answer.string("errors.0.field") == name, "\(answer.text)")
            }
            for (photos, code) in [([], "missing"), ([picture, picture], "duplicate")] {
                let answer = try await send(fields, photos: photos)
                #expect(answer.status == 422 && answer.string("errors.0.code") == code, "\(answer.text)")
                #expect(answer.string("errors.0.field") == "photo")
            }
            let unknown = try await send(fields + [("crew", "x")], photos: [picture])
            #expect(unknown.status == 422 && unknown.string("errors.0.field") == "crew")
            let word = try await send([fields[0], ("kind", "selfie"), fields[2]], photos: [picture])
            #expect(word.status == 422 && word.string("errors.0.field") == "kind")
        }
    }

    @Test("A program named .jpg, a monster, a torso and a giant are refused by field, and leave no row")
    func refusals() async throws {
        try await scene { scene in
            let program = try await scene.send(Data("MZ\u{90}\0program".utf8))
            #expect(program.status == 415 && program.string("errors.0.field") == "body", "\(program.text)")
            let monster = try await scene.send(Data(HandmadePicture.png(width: 30_000, height: 30_000)))
            #expect(monster.status == 422 && monster.string("errors.0.code") == "too_many_pixels", "\(monster.text)")
            let torso = try await scene.send(try DrawnPicture.make(".jpg").prefix(9_000))
            #expect(torso.status == 422 && torso.string("errors.0.code") == "broken_picture")
            let giant = try await scene.send(try DrawnPicture.make(".jpg") + Data(count: UploadFile.limit))
            #expect(giant.status == 413 && giant.string("errors.0.field") == "body")
            let json = try await scene.send(Data("{}".utf8), type: "application/json")
            #expect(json.status == 415)
            let late = try await scene.send(try DrawnPicture.make(".jpg"), at: "2020-01-01T00:00:00Z")
            #expect(late.status == 422 && late.string("errors.0.field") == "observed_at")
            #expect(try await scene.photos() == 0)
        }
    }

    @Test("Only the order's crew adds photos; staff of the district and that crew see them, and nobody else")
    func scope() async throws {
        try await scene { scene in
            let picture = try DrawnPicture.make(".jpg")
            let url = try #require(try await scene.send(picture).string("url"))
            let colleague = Account.ID(UUID())
            try await scene.stage.crew("other", account: colleague)
            let stranger = Account.ID(UUID())
            try await scene.stage.crew("far", district: scene.stage.otherDistrict, account: stranger)
            let others = [
                try scene.stage.token([.crew], account: colleague),
                try scene.stage.token([.crew], districts: [scene.stage.otherDistrict], account: stranger),
            ]
            for token in others {
                #expect(try await scene.send(picture, token: token).status == 404)
                #expect(try await scene.caller.get(url, token).status == 404)
            }
            for role in [Role.dispatcher, .manager] {
                #expect(try await scene.send(picture, token: try scene.staff(role)).status == 403)
                #expect(try await scene.caller.get(url, try scene.staff(role)).status == 200)
                let elsewhere = try scene.staff(role, in: scene.stage.otherDistrict)
                #expect(try await scene.caller.get(url, elsewhere).status == 404)
                #expect(
                    try await scene.caller.get("/v1/cases/\(scene.order.caseID)", elsewhere).status == 404)
            }
            #expect(
                try await scene.caller.get(url, try scene.stage.token([.dispatcher], everything: true)).status == 200)
            #expect(try await scene.caller.get(url, scene.token).status == 200)
            #expect(try await scene.caller.get(url, nil).status == 401)
            #expect(try await scene.send(picture, token: try scene.stage.token([.crew])).status == 404)
            #expect(try await scene.photos() == 1)
        }
    }

    @Test("Photos come late: after the order is done, and after the crew's loan to its district is over")
    func late() async throws {
        try await scene { scene in
            let done = ["accept", "en_route", "on_site", "done"].map { Steps.step($0) }
            let answer = try await scene.caller.post(
                "/v1/orders/\(scene.order.orderID)/steps", scene.token, Steps.body(done))
            #expect(answer.string("order.state") == "done", "\(answer.text)")
            // As if it had been lent, and the loan were over: its home is elsewhere.
            for table in ["crew", "crew_member", "crew_slot"] {
                try await scene.stage.admin.run(
                    """
                    UPDATE dispatch.\(table) SET district_id = '\(scene.stage.otherDistrict)'
                    WHERE crew_id = '\(scene.crew)'
                    """)
            }
            let photo = try await scene.send(try DrawnPicture.make(".jpg"))
            #expect(photo.status == 201, "\(photo.text)")
            #expect(try await scene.caller.get(try #require(photo.string("url")), scene.token).status == 200)
            let file = try await scene.caller.get("/v1/cases/\(scene.order.caseID)", try scene.staff())
            #expect(file.items("order_photos").count == 1)
            #expect(try await scene.shown() == 1)
        }
    }

    @Test("An id that another order's photo has is refused, not mixed up")
    func foreignID() async throws {
        try await scene { scene in
            let id = UUID()
            #expect(try await scene.send(try DrawnPicture.make(".jpg"), id: id).status == 201)
            try await scene.stage.admin.run(
                "UPDATE dispatch.order_attachment SET order_id = '\(UUID())' WHERE crew_id = '\(scene.crew)'")
            let answer = try await scene.send(try DrawnPicture.make(".jpg", width: 50), id: id)
            #expect(answer.status == 409 && answer.string("code") == "id_taken", "\(answer.text)")
        }
    }

    @Test("An order has a limited number of photos")
    func many() async throws {
        try await scene { scene in
            for number in 1...OrderPhotoStore.perOrder + 1 {
                let answer = try await scene.send(try DrawnPicture.make(".png", width: 8 + number, height: 8))
                #expect(answer.status == (number <= OrderPhotoStore.perOrder ? 201 : 422), "\(answer.text)")
            }
        }
    }

    @Test("A picture whose row was never written goes after a day; what a photo names stays")
    func sweep() async throws {
        try await scene { scene in
            let answer = try await scene.send(try DrawnPicture.make(".jpg"))
            let kept = try ["sha256", "thumbnail_sha256"].map { try #require(answer.string($0)) }
            let folder = try #require(scene.stage.context.configuration.attachmentsDirectory)
            let store = scene.stage.service.blobs
            let orphan = try await store.store(Array("orphan".utf8))
            for name in kept + [orphan] {
                let file = "\(folder)/\(name.prefix(2))/\(name.dropFirst(2).prefix(2))/\(name)"
                try FileManager.default.setAttributes([.modificationDate: Date() - 2 * 86_400], ofItemAtPath: file)
            }
            #expect(try await scene.stage.service.sweep.once() == 1)
            #expect(try await store.read(orphan) == nil)
            for name in kept { #expect(try await store.read(name) != nil) }
        }
    }

    private struct Failed: Error {
        init(_ text: String) {}
    }
}
