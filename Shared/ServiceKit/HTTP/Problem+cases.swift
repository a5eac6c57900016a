public import HTTPTypes

/// The problems that every service meets. What is a service's own gets its own code by `Problem.init`.
extension Problem {
    // MARK: The request itself

    /// 422: fields that can be read but may not have these values.
    public static func invalid(_ fields: [FieldError]) -> Problem {
        Problem(
            .unprocessableContent, code: "invalid", "Some fields cannot be accepted; see errors.",
            zh: "部分字段不能接受，见 errors。", fields: fields)
    }

    public static func invalid(
        _ field: String, code: String, _ detail: String, zh: String, allowed: [String]? = nil
    ) -> Problem {
        invalid([FieldError(field, code: code, detail, zh: zh, allowed: allowed)])
    }

    /// 400: the request cannot be read.
    public static func malformed(_ detail: String, zh: String, fields: [FieldError] = []) -> Problem {
        Problem(.badRequest, code: "malformed", detail, zh: zh, fields: fields)
    }

    /// 413: `limit` in bytes.
    public static func tooLarge(limit: Int) -> Problem {
        Problem(
            .contentTooLarge, code: "too_large", "The body may have at most \(limit) bytes.",
            zh: "请求体最多 \(limit) 字节。")
    }

    public static func unsupportedMediaType(allowed: [String]) -> Problem {
        Problem(
            .unsupportedMediaType, code: "unsupported_media_type",
            "The body must be one of: \(allowed.joined(separator: ", ")).",
            zh: "请求体类型应为：\(allowed.joined(separator: "、"))。",
            fields: [
                FieldError(
                    "Content-Type", code: "not_allowed", "This content type is not accepted here.",
                    zh: "此处不接受该内容类型。", allowed: allowed)
            ])
    }

    // MARK: Who asks

    public static let unauthorised = Problem(
        .unauthorized, code: "unauthorised", "Sign in first, or send a valid token.", zh: "请先登录，或提供有效的令牌。",
        headers: [.wwwAuthenticate: "Bearer realm=\"sluice\""])

    /// 401 for a token that was sent but is not accepted. Why exactly is in the log alone.
    public static let invalidToken = Problem(
        .unauthorized, code: "invalid_token", "The token is not valid, or no longer.", zh: "令牌无效或已过期。",
        headers: [.wwwAuthenticate: "Bearer realm=\"sluice\", error=\"invalid_token\""])

    public static let forbidden = Problem(
        .forbidden, code: "forbidden", "Your account may not do this.", zh: "您的账号无权进行此操作。")

    public static func forbidden(_ detail: String, zh: String) -> Problem {
        Problem(.forbidden, code: "forbidden", detail, zh: zh)
    }

    // MARK: What is asked for

    public static let notFound = Problem(
        .notFound, code: "not_found", "There is nothing here that you may see.", zh: "未找到，或无权查看。")

    public static func notFound(_ what: String, zh: String) -> Problem {
        Problem(.notFound, code: "not_found", "\(what) was not found, or you may not see it.", zh: "未找到\(zh)，或无权查看。")
    }

    public static func methodNotAllowed(_ allowed: [HTTPRequest.Method]) -> Problem {
        let names = allowed.map(\.rawValue).sorted().joined(separator: ", ")
        return Problem(
            .methodNotAllowed, code: "method_not_allowed", "Here only \(names) can be used.", zh: "此处只支持 \(names)。",
            headers: [.allow: names])
    }

    // MARK: State

    /// 409: the state of the thing does not allow it.
    public static func conflict(code: String = "conflict", _ detail: String, zh: String) -> Problem {
        Problem(.conflict, code: code, detail, zh: zh)
    }

    /// 412: the thing has changed since `If-Match` was read.
    public static let preconditionFailed = preconditionFailed(current: nil)

    /// 412 that tells the version that holds now.
    public static func preconditionFailed(current: Int?) -> Problem {
        var problem = Problem(
            .preconditionFailed, code: "stale", "It has changed since you read it. Read it again and decide again.",
            zh: "内容已被更改，请重新读取后再操作。",
            fields: [
                FieldError("If-Match", code: "stale", "This version is no longer the present one.", zh: "该版本已不是当前版本。")
            ])
        if let current { problem.headers[.eTag] = ETag(current).text }
        return problem
    }

    /// 428: a decision without `If-Match`.
    public static let preconditionRequired = Problem(
        .preconditionRequired, code: "precondition_required",
        "Send If-Match with the ETag that you read.", zh: "请在 If-Match 中提供读取到的 ETag。",
        fields: [FieldError("If-Match", code: "missing", "This header is required here.", zh: "此处必须提供该请求头。")])

    // MARK: Load

    /// 429: `retryAfter` in whole seconds, at least 1.
    public static func tooMany(retryAfter: Int) -> Problem {
        Problem(
            .tooManyRequests, code: "too_many",
            "Too many requests at the moment. Try again in \(max(1, retryAfter)) s.",
            zh: "请求过多，请在 \(max(1, retryAfter)) 秒后重试。", headers: [.retryAfter: String(max(1, retryAfter))])
    }

    /// 503: a server that we need cannot be reached, or does not answer in time.
    public static func unavailable(retryAfter: Int = 2) -> Problem {
        Problem(
            .serviceUnavailable, code: "unavailable", "The service cannot do this right now. Try again shortly.",
            zh: "服务暂时不可用，请稍后重试。", headers: [.retryAfter: String(max(1, retryAfter))])
    }

    /// 500: says nothing of the cause; the log has it under the trace id.
    public static let internalError = Problem(
        .internalServerError, code: "internal",
        "Something went wrong on our side. Quote the trace id when you tell us.",
        zh: "服务内部错误，反馈时请提供 trace_id。")

    /// What stands for an error answer that came without a problem of its own.
    static func plain(_ status: HTTPResponse.Status) -> Problem {
        switch status.code {
        case 401: unauthorised
        case 403: forbidden
        case 404: notFound
        case 413: Problem(.contentTooLarge, code: "too_large", "The body is too large.", zh: "请求体过大。")
        case 500: internalError
        case 503: unavailable()
        case 400..<500:
            Problem(status, code: "malformed", "The request cannot be read.", zh: "无法读取该请求。")
        default: Problem(status, code: "internal", internalError.detail, zh: internalError.detailZH)
        }
    }
}
