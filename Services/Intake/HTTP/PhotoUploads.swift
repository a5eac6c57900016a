import Hummingbird
import Model
import Pictures
import Postgres
import ServiceKit

/// Photos as they come in over HTTP: parts of a multipart body, or one as the body itself.
struct PhotoUploads: Sendable {
    /// Six photos, the report, and what multipart puts around them.
    static let bodyLimit = AttachmentStore.perReport * UploadFile.limit + (1 << 20)

    let keep: KeepPhoto
    let track: TrackReport
    let reader: PhotoReader
    let sources: Sources

    /// `POST /v1/reports/{code}/attachments`
    func add(_ request: Request, _ context: APIContext) async throws -> Response {
        let target: (report: Report.ID, district: District.ID)
        do {
            target = try await track.find(try context.pathText("code", limit: 64))
        } catch {
            try await reader.pass(request.body, limit: Self.bodyLimit)
            throw error
        }
        let uploads: [(field: String, file: UploadFile)]
        if let boundary = MultipartBody.boundary(request) {
            var body = try MultipartBody(request, boundary: boundary, limit: Self.bodyLimit)
            uploads = try await readAll(&body)
        } else {
            uploads = [("body", try await reader.read(request, limit: Self.bodyLimit))]
        }
        // What was sent, in the order in which it was sent: the same photos are the same request.
        let digest = uploads.map(\.file.sha256).joined(separator: " ")
        let key = try Idempotency.read(request, context, body: digest.utf8)
        let database = keep.attachments.database
        if let response = try await Idempotency.replay(for: key, using: database) { return response }
        var photos: [ReportReceipt.Photo] = []
        for upload in uploads {
            let stored = try await keep.keep(
                upload.file, field: upload.field, of: target.report, in: target.district, now: sources.now())
            photos.append(.kept(upload.field, stored))
        }
        // Keeping a photo twice changes nothing, so the key need not be claimed before it.
        let answer = try StoredResponse(.created, json: PhotosAnswer(photos: photos))
        return try await Idempotency.once(key, using: database) {
            _ = try await database.segment([try key.claim(answer)], scope: .none)
            return answer.response
        }
    }

    /// The photos behind a report in the same body. None of them can undo the report: what is wrong with one stands beside
    /// it in the answer.
    func keepAll(
        _ body: inout MultipartBody, of report: Report.ID, in district: District.ID, now: Timestamp
    ) async throws -> [ReportReceipt.Photo] {
        var photos: [ReportReceipt.Photo] = []
        while let part = try await body.nextPart() {
            let field = "\(part.name)[\(photos.count)]"
            do {
                guard let file = try await reader.read(&body) else { throw PhotoProblem.tooLarge(field) }
                photos.append(
                    .kept(field, try await keep.keep(file, field: field, of: report, in: district, now: now)))
            } catch let problem as Problem where problem.status.code < 500 {
                photos.append(.refused(field, problem))
            }
        }
        return photos
    }

    private func readAll(_ body: inout MultipartBody) async throws -> [(field: String, file: UploadFile)] {
        var uploads: [(field: String, file: UploadFile)] = []
        var problem: Problem?
        while let part = try await body.nextPart() {
            let field = "\(part.name)[\(uploads.count)]"
            if uploads.count >= AttachmentStore.perReport { problem = problem ?? KeepPhoto.tooMany(field) }
            if problem != nil { continue }
            if let file = try await reader.read(&body) {
                uploads.append((field, file))
            } else {
                problem = PhotoProblem.tooLarge(field)
            }
        }
        if let problem { throw problem }
        if uploads.isEmpty {
            throw Problem.invalid("photo", code: "missing", "Send at least one photo.", zh: "请至少上传一张照片。")
        }
        return uploads
    }
}

struct PhotosAnswer: Codable, Sendable {
    var photos: [ReportReceipt.Photo]
}

extension ReportReceipt.Photo {
    static func kept(_ field: String, _ stored: AttachmentStore.Stored) -> Self {
        Self(field: field, sha256: stored.sha256, thumbnailSHA256: stored.thumbnailSHA256, refused: nil)
    }

    static func refused(_ field: String, _ problem: Problem) -> Self {
        let first = problem.fields.first
        return Self(
            field: field, sha256: nil, thumbnailSHA256: nil,
            refused: Refusal(
                code: first?.code ?? problem.code, detail: problem.detail, detailZH: problem.detailZH))
    }
}
