import HTTPTypes
public import Hummingbird
import Logging
public import Model
import Postgres
import Synchronization

/// What stands around the routes of every service: trace, sign-in, errors as problems, metrics, and headers. The one
/// place where an error becomes an answer.
public struct ServiceResponder<Routes: HTTPResponder>: HTTPResponder where Routes.Context == APIContext {
    public typealias Context = APIContext

    private let routes: Routes
    private let document: OpenAPIDocument
    private let documentJSON: StoredResponse
    private let gate: SignInGate
    private let sources: Sources
    private let metrics: RequestMetrics

    public init(
        routes: Routes, document: OpenAPIDocument, verifier: TokenVerifier, publicURL: String, sources: Sources,
        metrics: MetricsRegistry
    ) {
        self.routes = routes
        self.document = document
        self.documentJSON = StoredResponse(
            .ok, headers: [.contentType: "application/json", .cacheControl: "public, max-age=60"],
            body: document.json())
        self.gate = SignInGate(verifier: verifier, publicURL: publicURL)
        self.sources = sources
        self.metrics = RequestMetrics(registry: metrics)
    }

    public func respond(to request: Request, context: APIContext) async throws -> Response {
        let started = ContinuousClock.now
        var context = context
        context.service = document.service
        context.trace = Trace(continuing: request.headers[.traceparent], random: sources.randomBytes)
        context.client = ClientAddress(peer: context.peer, forwarded: request.headers[.realIP])
        context.logger[metadataKey: "trace_id"] = "\(context.trace.traceID)"

        // HEAD is GET without the body, on every route.
        let isHead = request.method == .head
        let unread = UnreadBody(request)
        var request = unread?.request ?? request
        if isHead { request = request.asGet }
        var response = await answer(request, &context)
        if response.status.code >= 400, response.headers[.contentType] != Problem.contentType {
            response = plainProblem(response, request).response(traceID: context.trace.traceID)
        }
        response.headers[.traceID] = context.trace.traceID
        response.headers[.xContentTypeOptions] = "nosniff"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        if isHead { response = response.createHeadResponse() }
        metrics.record(
            isHead ? .head : request.method, route: context.endpointPath ?? "none", response.status.code,
            seconds: (ContinuousClock.now - started).inSeconds)
        if let unread, await !unread.discard() { return response.endingTheConnection }
        return response
    }

    private func answer(_ request: Request, _ context: inout APIContext) async -> Response {
        do {
            if request.method == .get, request.uri.path == document.path {
                context.coreContext.endpointPath.value = document.path
                return documentJSON.response
            }
            try await gate.admit(request, &context)
            return try await routes.respond(to: request, context: context)
        } catch let problem as Problem {
            return problem.response(traceID: context.trace.traceID)
        } catch {
            return ErrorMapping.problem(for: error, request: request, logger: context.logger)
                .response(traceID: context.trace.traceID)
        }
    }

    /// Hummingbird's own refusals come without a problem; a known path with another method is 405, not 404.
    private func plainProblem(_ response: Response, _ request: Request) -> Problem {
        if response.status == .notFound, let methods = document.methods(at: request.uri.path),
            !methods.contains(request.method)
        {
            return .methodNotAllowed(methods)
        }
        return .plain(response.status)
    }
}

/// What an unexpected error means to who sent the request, and to who reads the log.
enum ErrorMapping {
    static func problem(for error: any Error, request: Request, logger: Logger) -> Problem {
        if let problem = error as? Problem { return problem }
        if let error = error as? PostgresError { return problem(for: error, logger: logger) }
        if error is CancellationError { return .unavailable() }
        logger.error(
            "A request failed",
            metadata: ["method": "\(request.method)", "error": "\(type(of: error)): \(error)"])
        return .internalError
    }

    private static func problem(for error: PostgresError, logger: Logger) -> Problem {
        // A deadlock or a lost race that outlived its retries may well succeed if it is sent again.
        if error.isTransient || error.kind == .cancelled {
            logger.warning("The database could not do it now", metadata: ["error": "\(error)"])
            return .unavailable()
        }
        logger.error("A statement failed", metadata: ["error": "\(error)"])
        return .internalError
    }
}

extension Request {
    fileprivate var asGet: Request {
        var head = head
        head.method = .get
        return Request(head: head, body: body)
    }
}

extension HTTPField.Name {
    static let xContentTypeOptions = Self("X-Content-Type-Options")!
}
