import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import Pictures
import Postgres
import ServiceKit

/// `/v1/orders/{id}/attachments`: photos of the work. One a request, so that a bad line costs one photo and no more.
struct OrderPhotoRoutes: Sendable {
    /// More than a photo may have, so that one that is too large is told by its name.
    static let bodyLimit = 2 * UploadFile.limit

    let desk: Desk
    let keep: KeepOrderPhoto
    let reader: PhotoReader
    let pictures: PictureAnswer

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, OrderPhotoDescriptions.add) { request, context in try await add(request, context) }
        router.add(&document, OrderPhotoDescriptions.show) { request, context in try await show(request, context) }
    }

    private func add(_ request: Request, _ context: APIContext) async throws -> Response {
        let order: OwnOrder
        let account: Account.ID
        do {
            account = try context.require(.crew).sub
            order = try await keep.order(try context.pathID("id", WorkOrder.self), of: account)
        } catch {
            try await reader.pass(request.body, limit: Self.bodyLimit)
            throw error
        }
        let upload = try await read(request)
        let about = try about(upload.fields)
        let source = upload.file.sha256
        let key = try Idempotency.read(
            request, context, body: "\(about.id) \(about.kind.rawValue) \(about.observedAt) \(source)".utf8)
        if let response = try await Idempotency.replay(for: key, using: desk.database) { return response }
        var picture: TakenPicture?
        if try await keep.known(about, source: source, in: order) == nil {
            picture = try await keep.pictures.take(upload.file, field: upload.field, now: desk.sources.now())
        }
        return try await desk.once(
            key, answer: { try StoredResponse(.created, json: Presented($0)) },
            { [picture] claim, complete in
                try await keep.write(
                    picture, about, source: source, field: upload.field, order: order, account: account, claim: claim,
                    complete: complete)
            })
    }

    private struct Upload {
        var fields: Query
        var file: UploadFile
        /// What errors about the photo name.
        var field: String
    }

    private func read(_ request: Request) async throws -> Upload {
        guard let boundary = MultipartBody.boundary(request) else {
            let file = try await reader.read(request, limit: Self.bodyLimit)
            return Upload(fields: try request.query(), file: file, field: "body")
        }
        var body = try MultipartBody(request, boundary: boundary, limit: Self.bodyLimit)
        var fields: [(name: String, value: String)] = []
        var files: [UploadFile?] = []
        while let part = try await body.nextPart() {
            if part.name == "photo" {
                files.append(try await reader.read(&body))
            } else {
                let bytes = try await body.bytes(limit: 1_024)
                guard ["id", "kind", "observed_at"].contains(part.name),
                    let text = String(validating: bytes, as: UTF8.self)
                else {
                    throw Problem.invalid(
                        part.name, code: "unknown_field", "There is no such field here.", zh: "没有该字段。")
                }
                fields.append((part.name, text))
            }
        }
        guard let first = files.first, files.count == 1 else {
            throw Problem.invalid(
                "photo", code: files.isEmpty ? "missing" : "duplicate", "Send exactly one photo.", zh: "请上传一张照片。")
        }
        guard let file = first else { throw PhotoProblem.tooLarge("photo") }
        return Upload(fields: Query(fields: fields), file: file, field: "photo")
    }

    private func about(_ fields: Query) throws(Problem) -> OrderPhoto.About {
        guard let id = try fields.id("id", OrderPhoto.self) else { throw Self.missing("id") }
        guard let kind = try fields.word("kind", OrderPhoto.Kind.self) else { throw Self.missing("kind") }
        guard let observedAt = try fields.time("observed_at") else { throw Self.missing("observed_at") }
        var check = Validation()
        check.recent("observed_at", observedAt, now: desk.sources.now())
        try check.finish()
        return OrderPhoto.About(id: id, kind: kind, observedAt: observedAt)
    }

    private static func missing(_ field: String) -> Problem {
        .invalid(field, code: "missing", "This field is required.", zh: "缺少该字段。")
    }

    // MARK: - Showing

    private func show(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.requireAccount()
        let order = try context.pathID("id", WorkOrder.self)
        let sha256 = try context.pathText("sha256", limit: 64)
        let size = try request.query().word("size", PictureAnswer.Size.self) ?? .full
        var scope = context.scope
        if !Desk.staff.contains(where: claims.has) {
            guard claims.has(.crew) else { throw Problem.forbidden }
            scope = try await keep.order(order, of: claims.sub).scope
        }
        let rows = try await desk.database.query(
            OrderPhotoStore.find(sha256, of: order, districts: scope.districtIDs), scope: scope)
        guard Digest.isDigest(sha256), let row = rows.first else { throw Problem.notFound("The photo", zh: "该照片") }
        let thumbnail: String = try row.decode("thumbnail_sha256")
        // The thumbnail's own name shows the thumbnail.
        let name = size == .thumbnail || sha256 == thumbnail ? thumbnail : try row.decode("sha256")
        return try await pictures.show(name, logger: context.logger)
    }
}

extension OrderPhoto: Presentable {
    private var url: String { "/v1/orders/\(orderID)/attachments/\(sha256)" }

    static let shown: [ShownField<OrderPhoto>] = [
        .init("id", .uuid) { $0.about.id },
        .init("order_id", .uuid) { $0.orderID },
        .init("kind", .word(Kind.self)) { $0.about.kind },
        .init("sha256", digest, "The picture that is shown.") { $0.sha256 },
        .init("thumbnail_sha256", digest) { $0.thumbnailSHA256 },
        .init("source_sha256", digest, "Of the bytes that came; steps name photos by it.") { $0.sourceSHA256 },
        .init("content_type", .string()) { $0.contentType },
        .init("bytes", .integer(minimum: 1)) { $0.bytes },
        .init("width", .integer(minimum: 1)) { $0.width },
        .init("height", .integer(minimum: 1)) { $0.height },
        .init("observed_at", .time, "By the phone's clock.") { $0.about.observedAt },
        .init("received_at", .time) { $0.receivedAt },
        .init("taken_at", .nullable(.time), "What the camera says.") { $0.takenAt },
        .init("lon", .nullable(.number(-180...180)), "Where the camera says it was.") { $0.lon },
        .init("lat", .nullable(.number(-90...90))) { $0.lat },
        .init("url", .string()) { $0.url },
        .init("thumbnail_url", .string()) { "\($0.url)?size=thumbnail" },
    ]

    static let digest = Schema.string(pattern: "^[0-9a-f]{64}$")
}

extension KeepOrderPhoto.Kept: Presentable {
    static let shown: [ShownField<KeepOrderPhoto.Kept>] =
        OrderPhoto.shown.map { field in ShownField<KeepOrderPhoto.Kept>(field, of: { $0.photo }) } + [
            .init("replayed", .boolean, "It had been sent before; the answer shows it as it is kept.") { $0.isReplay }
        ]
}

enum OrderPhotoDescriptions {
    static let add = Operation(
        .post, "/v1/orders/{id}/attachments", "A photo of the work", access: .roles([.crew]),
        description: """
            One a request: multipart/form-data with the fields id, kind, observed_at and photo, or the picture as the body \
            and the rest as query parameters. Only for the order's own crew, also when the order is done. Needs no \
            If-Match: the id is the client's, and the same bytes for the same order are one photo, so that a phone can \
            send again what it has sent. At most \(OrderPhotoStore.perOrder) photos an order, 15 MiB and 50 million \
            pixels each; JPEG, PNG, WebP or HEIC by content. Time and place are read from it, then all of that is \
            stripped. Another photo under the same id is 409 `id_taken`.
            """,
        parameters: [
            .query("id", .uuid, "Made by the client; here if the body is the picture."),
            .query("kind", .word(OrderPhoto.Kind.self)), .query("observed_at", .time, "By the phone's clock."),
        ],
        body: .of(
            (
                "multipart/form-data",
                .object([
                    Schema.Field("id", .uuid), Schema.Field("kind", .word(OrderPhoto.Kind.self)),
                    Schema.Field("observed_at", .time), Schema.Field("photo", .string(format: "binary")),
                ])
            ),
            ("image/jpeg", .string(format: "binary")), ("image/png", .string(format: "binary")),
            ("image/webp", .string(format: "binary")), ("image/heic", .string(format: "binary"))),
        answers: [.created(KeepOrderPhoto.Kept.schema, "The photo is in.")], idempotent: true)

    static let show = Operation(
        .get, "/v1/orders/{id}/attachments/{sha256}", "Show a photo of the work", access: .look,
        description: "For staff in the order's district, and for the order's crew.",
        parameters: [.path("sha256", OrderPhoto.digest), PictureAnswer.sizeParameter],
        answers: [Operation.Answer(.ok, "The picture", .bytes("image/jpeg"))])
}
