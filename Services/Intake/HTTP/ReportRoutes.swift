import HTTPTypes
import Hummingbird
import Model
import Postgres
import ServiceKit

/// `/v1/reports`: anyone says what they saw, and follows it by the code they get.
struct ReportRoutes: Sendable {
    /// A report's own JSON.
    static let reportLimit = 32 << 10

    let receive: ReceiveReport
    let track: TrackReport
    let photos: PhotoUploads
    let limits: SenderLimits
    let now: @Sendable () -> Timestamp

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, ReportDescriptions.post) { request, context in
            try await post(request, context)
        }
        router.add(&document, ReportDescriptions.get) { request, context in
            try limits.look(context, now: now())
            return try Response.json(.ok, try await track.show(try context.pathText("code", limit: 64)))
        }
        router.add(&document, ReportDescriptions.postAttachments) { request, context in
            try limits.look(context, now: now())
            return try await photos.add(request, context)
        }
    }

    private func post(_ request: Request, _ context: APIContext) async throws -> Response {
        do {
            return try await take(request, context)
        } catch let problem as Problem where Self.isJunk(problem) {
            // Only a report that has been read shows that it is an emergency, so nothing is counted before. What turns
            // out to be none counts like a routine one: who has none left is told to wait, and not what is wrong.
            try limits.report(Sender(context), now: now())
            throw problem
        }
    }

    /// Ours and the lane's troubles are not, nor is the same request under way (409).
    private static func isJunk(_ problem: Problem) -> Bool {
        problem.status.code < 500 && ![.tooManyRequests, .conflict].contains(problem.status)
    }

    private func take(_ request: Request, _ context: APIContext) async throws -> Response {
        if let boundary = MultipartBody.boundary(request) {
            return try await postMultipart(request, context, boundary: boundary)
        }
        try request.requireContentType(["application/json", "multipart/form-data"]) { $0 == "application/json" }
        let body = try await request.jsonBody(limit: Self.reportLimit)
        return try await keep(body, request, context)
    }

    /// Writes the report once for its key.
    private func keep(_ body: JSONBody, _ request: Request, _ context: APIContext) async throws -> Response {
        let key = try Idempotency.read(request, context, body: body.bytes)
        let prepared: ReceiveReport.Prepared
        do {
            prepared = try await receive.prepare(try body.decode(ReportInput.self), from: Sender(context))
        } catch let problem as Problem where problem.status != .tooManyRequests {
            // What was accepted once stays accepted, also when its category has been closed meanwhile.
            if let response = try await Idempotency.replay(for: key, using: receive.database) { return response }
            throw problem
        }
        let answer = try StoredResponse(.created, json: prepared.receipt)
        var isWritten = false
        do {
            let response = try await Idempotency.once(key, using: receive.database(for: prepared)) {
                try await receive.write(prepared, after: try key.claim(answer))
                isWritten = true
                return answer.response
            }
            if !isWritten { await receive.giveBack(prepared) }
            return response
        } catch {
            await receive.giveBack(prepared)
            throw error
        }
    }

    /// The report is the first part and is in when it has been read. From then on the answer is its receipt, whatever
    /// becomes of the photos behind it.
    private func postMultipart(
        _ request: Request, _ context: APIContext, boundary: String
    ) async throws -> Response {
        var body = try MultipartBody(request, boundary: boundary, limit: PhotoUploads.bodyLimit)
        guard let part = try await body.nextPart(), part.name == "report" else {
            throw Problem.invalid(
                "report", code: "missing", "The first part must be named report and hold the report's JSON.",
                zh: "第一部分必须名为 report，内容为上报的 JSON。")
        }
        guard part.contentType == "application/json" || part.contentType == "text/plain" else {
            throw Problem.unsupportedMediaType(allowed: ["application/json"])
        }
        let json = try JSONBody(try await body.bytes(limit: Self.reportLimit))
        let response = try await keep(json, request, context)
        var receipt = try await response.decoded(ReportReceipt.self)
        receipt.photos = await photos.keepAll(&body, of: receipt.code, now: now(), logger: context.logger)
        var answer = try Response.json(response.status, receipt)
        for field in response.headers where field.name != .contentType && field.name != .contentLength {
            answer.headers[field.name] = field.value
        }
        return answer
    }
}
