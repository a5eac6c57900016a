import HTTPTypes
import Hummingbird
import Logging
import Model
import Pictures
import Postgres
import ServiceKit

/// Photos as they come in over HTTP: parts of a multipart body, or one as the body itself.
struct PhotoUploads: Sendable {
    /// Six photos, the report, and what multipart puts around them.
    static let bodyLimit = AttachmentStore.perReport * UploadFile.limit + (1 << 20)

    let keep: KeepPhoto
    /// How long a photo that came with a report waits for its turn: somebody waits for the report's code and advice.
    let patience: Duration
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

    /// The photos behind a report in the same body. The report is in, so nothing that goes wrong here is thrown, whoever
    /// is to blame: what became of each photo stands beside it in the answer.
    /// - Parameter code: the report's.
    func keepAll(
        _ body: inout MultipartBody, of code: String, now: Timestamp, logger: Logger
    ) async -> [ReportReceipt.Photo] {
        var photos: [ReportReceipt.Photo] = []
        var target: (report: Report.ID, district: District.ID)?
        var late: Problem?
        while true {
            let field: String
            do {
                guard let part = try await body.nextPart() else { return photos }
                field = "\(part.name)[\(photos.count)]"
            } catch {
                // Nothing can be read behind it. Its photo may have told it already.
                let fault = ReportReceipt.Photo.refused("body", Self.refusal(error, logger))
                if photos.last?.refused?.code != fault.refused?.code { photos.append(fault) }
                return photos
            }
            // Whoever waits for the report's code waits for one photo in vain, not for six.
            if let late {
                photos.append(.refused(field, late))
                continue
            }
            do {
                guard let file = try await reader.read(&body) else { throw PhotoProblem.tooLarge(field) }
                let found: (report: Report.ID, district: District.ID)
                if let target { found = target } else { found = try await track.find(code) }
                target = found
                photos.append(
                    .kept(
                        field,
                        try await keep.keep(
                            file, field: field, of: found.report, in: found.district, now: now, patience: patience)))
            } catch {
                let problem = Self.refusal(error, logger)
                if problem.status == .serviceUnavailable { late = problem }
                photos.append(.refused(field, problem))
            }
        }
    }

    /// Why a photo is not there. What is our fault, and may be none in a minute, is one word for the client: try later.
    private static func refusal(_ error: any Error, _ logger: Logger) -> Problem {
        if let problem = error as? Problem, problem.code != Problem.unavailable().code { return problem }
        logger.warning("a photo of a report could not be kept", metadata: ["error": "\(error)"])
        return Problem(
            .serviceUnavailable, code: "try_later",
            "This photo could not be taken now. Send the same request again, or add the photo by the report's code.",
            zh: "暂时无法接收此照片，请重新发送同一请求，或凭查询码补传照片。")
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
