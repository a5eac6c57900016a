public import FoundationEssentials
import Glibc
public import HTTPTypes
public import Hummingbird
public import Model
import NIOCore
public import Postgres

/// What a handler knows of a request besides the request: who sends it, in which trace, and what of the city it may see.
public struct APIContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    /// The service that answers; its schema keeps the idempotency keys.
    public var service: ServiceName
    public var principal: Principal
    public var trace: Trace
    /// `Sluice-Device`, if the client sent it.
    public var device: DeviceKey?
    public var client: ClientAddress
    /// The other end of the connection; nil without one.
    let peer: String?
    /// The districts that this request's statements see. A service that knows better narrows it (a crew's loans).
    public var scope: DistrictScope

    /// Before the request has been looked at: nobody, with nothing in scope.
    public init(source: ApplicationRequestContextSource) {
        self.coreContext = CoreRequestContextStorage(source: source)
        self.service = .intake
        self.principal = .anonymous(device: nil)
        self.trace = Trace(continuing: nil) { [UInt8](repeating: 1, count: $0) }
        self.peer = source.channel.remoteAddress?.ipAddress
        self.client = ClientAddress(peer: peer, forwarded: nil)
        self.scope = .none
    }

    public var requestDecoder: JSONDecoder { JSONDecoder() }

    public var responseEncoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return encoder
    }

    /// To be passed on in `Event.traceparent`.
    public var traceparent: String { trace.traceparent }

    public var claims: Claims? { principal.claims }

    /// Who sends it, or a `Problem`: 401 for nobody.
    @discardableResult
    public func requireAccount() throws(Problem) -> Claims {
        guard let claims else { throw .unauthorised }
        return claims
    }

    /// Who sends it, if it is one of these roles. Throws a `Problem`: 401 for nobody, 403 for others.
    @discardableResult
    public func require(_ roles: Role...) throws(Problem) -> Claims {
        let claims = try requireAccount()
        guard roles.contains(where: claims.has) else { throw .forbidden }
        return claims
    }

    /// Throws a `Problem` (403) that names `field` unless the account may act in that district.
    public func requireDistrict(_ district: District.ID, field: String = "district") throws(Problem) {
        let claims = try requireAccount()
        guard claims.covers(district) else {
            throw Problem(
                .forbidden, code: "forbidden", "Your account may not act in this district.", zh: "您的账号无权操作该区。",
                fields: [
                    FieldError(
                        field, code: "out_of_scope", "This district is outside your account's.", zh: "该区不在您的账号范围内。")
                ])
        }
    }

    /// The device of an anonymous client. Throws a `Problem` (422) that names the header if it is missing.
    public func requireDevice() throws(Problem) -> DeviceKey {
        guard let device else {
            throw .invalid(
                HTTPField.Name.sluiceDevice.rawName, code: "missing",
                "Send 128 random bits or more in base64 and keep them: they are how you are known again.",
                zh: "请提供至少 128 位随机数（base64），并长期保留。")
        }
        return device
    }
}

extension HTTPField.Name {
    // Well-formed literals, so the initialiser cannot answer nil.
    public static let sluiceDevice = Self("Sluice-Device")!
    public static let idempotencyKey = Self("Idempotency-Key")!
    static let traceparent = Self("traceparent")!
    static let traceID = Self("Sluice-Trace")!
    static let realIP = Self("X-Real-IP")!
    static let fetchSite = Self("Sec-Fetch-Site")!
}

/// Where a request comes from, as far as the proxy tells.
public struct ClientAddress: Sendable, Hashable {
    public let text: String

    /// - Parameters:
    ///   - peer: the other end of the connection.
    ///   - forwarded: what the proxy says; believed only from a peer on this machine.
    init(peer: String?, forwarded: String?) {
        let isProxy = peer == nil || peer == "127.0.0.1" || peer == "::1"
        if isProxy, let forwarded, forwarded.utf8.count <= 45,
            let address = try? SocketAddress(
                ipAddress: forwarded, port: 0), let text = address.ipAddress
        {
            self.text = text
        } else {
            self.text = peer ?? "unknown"
        }
    }

    /// What one household or office has: an IPv4 address's /24, an IPv6 address's /48.
    public var prefix: String {
        if text.contains(":") {
            var bytes = [UInt8](repeating: 0, count: 16)
            guard inet_pton(AF_INET6, text, &bytes) == 1 else { return text }
            return bytes.prefix(6).map { String($0, radix: 16) }.joined(separator: ":")
        }
        return text.split(separator: ".").prefix(3).joined(separator: ".")
    }
}
