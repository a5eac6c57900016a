public import HTTPTypes
public import Hummingbird
import NIOCore

/// One thing that is wrong with one field of a request, in both languages.
public struct FieldError: Sendable, Hashable, Encodable {
    /// Where it is: a path in the body (`place.lon`, `steps[2].at`), a query parameter's or a header's name.
    public var field: String
    /// Stable word that programs may test: `missing`, `unknown_field`, `type`, `not_allowed`, `too_long` …
    public var code: String
    public var detail: String
    public var detailZH: String
    /// What would have been accepted, where that is a short list.
    public var allowed: [String]?

    public init(_ field: String, code: String, _ detail: String, zh detailZH: String, allowed: [String]? = nil) {
        self.field = field
        self.code = code
        self.detail = detail
        self.detailZH = detailZH
        self.allowed = allowed
    }

    private enum CodingKeys: String, CodingKey {
        case field, code, detail, allowed
        case detailZH = "detail_zh"
    }
}

/// An error that its receiver can read: RFC 9457 `application/problem+json`, with a stable `code`, a sentence for a
/// person in English and Chinese, and the fields at fault. Throw it from a handler; it never carries what a caller sent.
public struct Problem: Error, Sendable, Hashable {
    public var status: HTTPResponse.Status
    /// Stable word that programs may test.
    public var code: String
    public var detail: String
    public var detailZH: String
    public var fields: [FieldError]
    /// Sent with the answer: `Retry-After`, `WWW-Authenticate`, `Allow`, `ETag` …
    public var headers: HTTPFields

    public init(
        _ status: HTTPResponse.Status, code: String, _ detail: String, zh detailZH: String, fields: [FieldError] = [],
        headers: HTTPFields = [:]
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.detailZH = detailZH
        self.fields = fields
        self.headers = headers
    }
}

extension Problem: HTTPResponseError {
    public static let contentType = "application/problem+json"

    public func response(from request: Request, context: some RequestContext) throws -> Response {
        response(traceID: (context as? APIContext)?.trace.traceID)
    }

    /// The answer itself. `traceID` lets a person find the request in the log.
    public func response(traceID: String?) -> Response {
        var headers = headers
        headers[.contentType] = Self.contentType
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body(traceID: traceID)))
    }

    private func body(traceID: String?) -> ByteBuffer {
        var writer = JSONWriter()
        writer.object { object in
            object.field("type", "urn:sluice:problem:\(code)")
            object.field("title", status.reasonPhrase.isEmpty ? "Error" : status.reasonPhrase)
            object.field("status", status.code)
            object.field("code", code)
            object.field("detail", detail)
            object.field("detail_zh", detailZH)
            object.array("errors", fields) { error, item in
                item.object { object in
                    object.field("field", error.field)
                    object.field("code", error.code)
                    object.field("detail", error.detail)
                    object.field("detail_zh", error.detailZH)
                    if let allowed = error.allowed {
                        object.array("allowed", allowed) { value, item in item.string(value) }
                    }
                }
            }
            if let traceID { object.field("trace_id", traceID) }
        }
        return ByteBuffer(bytes: writer.bytes)
    }
}
