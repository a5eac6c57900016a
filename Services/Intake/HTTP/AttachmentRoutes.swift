import FoundationEssentials
import Hummingbird
import Model
import Pictures
import Postgres
import ServiceKit

/// `/v1/attachments`: pictures that we encoded ourselves, and nothing else.
struct AttachmentRoutes: Sendable {
    let store: AttachmentStore
    let pictures: PictureAnswer
    let track: TrackReport
    let cache: CityCache
    let limits: SenderLimits
    let now: @Sendable () -> Timestamp

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        let get = Operation(
            .get, "/v1/attachments/{sha256}", "Show a photo", access: .anyone,
            description:
                "For people who are signed in, in the photo's district; for the report's sender with its code.",
            parameters: [
                .path("sha256", .string(pattern: "^[0-9a-f]{64}$")),
                PictureAnswer.sizeParameter,
                .query("code", ReportDescriptions.trackingCode, "The report's tracking code."),
            ],
            answers: [Operation.Answer(.ok, "The picture", .bytes("image/jpeg")), SessionDescriptions.refused])
        router.add(&document, get) { request, context in try await show(request, context) }
    }

    private func show(_ request: Request, _ context: APIContext) async throws -> Response {
        try limits.look(context, now: now())
        let sha256 = try context.pathText("sha256", limit: 64)
        let query = try request.query()
        let size = try query.word("size", PictureAnswer.Size.self) ?? .full
        guard let found = try await find(sha256, code: try query.text("code", 1...64), context) else {
            throw Problem.notFound("The photo", zh: "该照片")
        }
        // The thumbnail's own name shows the thumbnail.
        let name = size == .thumbnail || sha256 == found.thumbnailSHA256 ? found.thumbnailSHA256 : found.sha256
        return try await pictures.show(name, logger: context.logger)
    }

    private func find(
        _ sha256: String, code: String?, _ context: APIContext
    ) async throws -> AttachmentStore.Stored? {
        guard Digest.isDigest(sha256) else { return nil }
        if let code {
            let target = try await track.find(code)
            return try await store.find(sha256, districts: [target.district.rawValue], report: target.report)
        }
        let claims = try context.requireAccount()
        let districts: [UUID]
        switch claims.districts {
        case .districts(let own): districts = own
        case .none: districts = []
        case .all, .city:
            districts = cache.city?.districts ?? []
        }
        return try await store.find(sha256, districts: districts, report: nil)
    }
}
