import HTTPTypes
import Hummingbird
import Logging
import Model
import Postgres

/// Finds out who sends a request: a bearer token, else the browser's cookie, else nobody.
struct SignInGate: Sendable {
    private let verifier: TokenVerifier
    private let origin: String

    init(verifier: TokenVerifier, publicURL: String) {
        self.verifier = verifier
        self.origin = Self.origin(of: publicURL)
    }

    /// Fills in principal, device and scope. Throws a `Problem`: 401 for a bearer token that is not accepted, 403 for a
    /// cookie on an unsafe request that another site may have caused, 400 for a device key that is none.
    func admit(_ request: Request, _ context: inout APIContext) async throws(Problem) {
        if let text = request.headers[.sluiceDevice] {
            guard let device = DeviceKey(text) else {
                throw .malformed(
                    "Sluice-Device must be 22 to 64 characters of URL-safe base64.",
                    zh: "Sluice-Device 应为 22 到 64 个 URL 安全的 base64 字符。",
                    fields: [
                        FieldError(
                            "Sluice-Device", code: "form", "22 to 64 characters of URL-safe base64 are wanted.",
                            zh: "应为 22 到 64 个 URL 安全的 base64 字符。")
                    ])
            }
            context.device = device
        }
        context.principal = .anonymous(device: context.device)
        if let authorization = request.headers[.authorization] {
            let parts = authorization.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { throw .invalidToken }
            do {
                signIn(try await verifier.verify(parts[1]), &context)
            } catch {
                try requireKeys(error)
                context.logger.info("A token was refused", metadata: ["reason": "\(error.rawValue)"])
                throw .invalidToken
            }
        } else if let token = cookie(request) {
            // A cookie is sent whether its owner wants it or not. If it is stale, the request is simply nobody's.
            let claims: Claims
            do {
                claims = try await verifier.verify(token)
            } catch {
                try requireKeys(error)
                return
            }
            try requireSameSite(request)
            signIn(claims, &context)
        }
    }

    /// While no key could be read (a start without the database), nobody's token is wrong: a client that got 401 would
    /// throw a good one away.
    private func requireKeys(_ fault: Token.Fault) throws(Problem) {
        if fault == .unknownKey, !verifier.isReady { throw .unavailable() }
    }

    private func signIn(_ claims: Claims, _ context: inout APIContext) {
        context.principal = .account(claims)
        context.scope = claims.districts
        context.logger[metadataKey: "account"] = "\(claims.sub)"
    }

    private func cookie(_ request: Request) -> String? {
        for header in request.headers[values: .cookie] {
            for pair in header.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                if parts.count == 2, parts[0].trimmingBlanks() == Token.cookie { return parts[1].trimmingBlanks() }
            }
        }
        return nil
    }

    /// The browser says where a request was caused; one that does not say must at least name our origin. Besides, a plain
    /// form of another site can send neither JSON nor headers of its own.
    private func requireSameSite(_ request: Request) throws(Problem) {
        if [.get, .head, .options].contains(request.method) { return }
        let isOurs: Bool
        if let site = request.headers[.fetchSite] {
            isOurs = site == "same-origin" || site == "none"
        } else {
            isOurs = request.headers[.origin] == origin
        }
        let type = (request.headers[.contentType] ?? "").lowercased()
        let isForm = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"].contains {
            type.hasPrefix($0)
        }
        let hasOwnHeader =
            request.headers[.idempotencyKey] != nil || request.headers[.sluiceDevice] != nil
            || request.headers[.ifMatch] != nil
        guard isOurs, !isForm || hasOwnHeader else {
            throw Problem(
                .forbidden, code: "cross_site", "This request did not come from our own pages.", zh: "请求并非来自本站页面。")
        }
    }

    /// Scheme, host and port.
    private static func origin(of url: String) -> String {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        return parts.count >= 3 ? "\(parts[0])//\(parts[2])" : url
    }
}
