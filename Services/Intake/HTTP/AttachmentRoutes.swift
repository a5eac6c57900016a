import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import Model
import NIOCore
import Postgres
import ServiceKit

/// `/v1/attachments`: pictures that we encoded ourselves, and nothing else.
struct AttachmentRoutes: Sendable {
    let store: AttachmentStore
    let blobs: any BlobStore
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
                .query("size", .words(["full", "thumbnail"])),
                .query("code", ReportDescriptions.trackingCode, "The report's tracking code."),
            ],
            answers: [Operation.Answer(.ok, "The picture", .bytes("image/jpeg"))])
        router.add(&document, get) { request, context in try await show(request, context) }
    }

    private enum Size: String, CaseIterable { case full, thumbnail }

    private func show(_ request: Request, _ context: APIContext) async throws -> Response {
        try limits.look(context, now: now())
        let sha256 = try context.pathText("sha256", limit: 64)
        let query = try request.query()
        let size = try query.word("size", Size.self) ?? .full
        guard let found = try await find(sha256, code: try query.text("code", 1...64), context) else {
            throw Problem.notFound("The photo", zh: "该照片")
        }
        // The thumbnail's own name shows the thumbnail.
        let name = size == .thumbnail || sha256 == found.thumbnailSHA256 ? found.thumbnailSHA256 : found.sha256
        guard let bytes = try await blobs.read(name) else {
            context.logger.error("a file of the attachment store is missing", metadata: ["sha256": "\(name)"])
            throw Problem.notFound("The photo", zh: "该照片")
        }
        return Response(status: .ok, headers: Self.headers(name), body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    private func find(
        _ sha256: String, code: String?, _ context: APIContext
    ) async throws -> AttachmentStore.Stored? {
        guard sha256.utf8.count == 64, sha256.utf8.allSatisfy(\.isLowercaseHexadecimal) else { return nil }
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

    /// The content never changes under its name, but who may see it does: only the browser keeps it, and for an hour.
    private static func headers(_ name: String) -> HTTPFields {
        var headers: HTTPFields = [
            .contentType: "image/jpeg", .cacheControl: "private, max-age=3600, immutable",
            .contentDisposition: "inline; filename=\"\(name.prefix(16)).jpg\"", .eTag: "\"\(name)\"",
        ]
        headers[.contentSecurityPolicy] = "default-src 'none'; sandbox"
        headers[.crossOriginResourcePolicy] = "same-origin"
        headers[.referrerPolicy] = "no-referrer"
        return headers
    }
}

extension HTTPField.Name {
    // Well-formed literals, so the initialiser cannot answer nil.
    static let crossOriginResourcePolicy = Self("Cross-Origin-Resource-Policy")!
    static let referrerPolicy = Self("Referrer-Policy")!
}
