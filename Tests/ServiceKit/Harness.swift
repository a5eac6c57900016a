import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import NIOCore
import Postgres
import ServiceKit
import Synchronization

/// The issuer of the tests' tokens and the application around a test's routes.
struct Harness {
    static let publicURL = "http://sluice.test"
    static let seed = [UInt8](repeating: 7, count: 32)
    static let start = Timestamp(microseconds: 1_780_000_000_000_000)

    static func signer(kid: String = "k1", seed: [UInt8] = seed, issuer: String = publicURL) throws -> TokenSigner {
        try TokenSigner(kid: kid, seed: seed, issuer: issuer)
    }

    static func claims(
        _ roles: Set<Role> = [.dispatcher], districts: DistrictScope = .city, issuedAt: Timestamp = start,
        lifetime: Duration = Token.lifetime, sid: Session.ID = Session.ID(UUID())
    ) -> Claims {
        Claims(
            sub: Account.ID(UUID()), sid: sid, roles: roles, districts: districts, name: "Test", issuedAt: issuedAt,
            expiresAt: issuedAt + lifetime)
    }

    static func bearer(_ claims: Claims = claims()) throws -> HTTPFields {
        [.authorization: "Bearer \(try signer().sign(claims))"]
    }
}

/// A clock that a test sets.
final class TestClock: Sendable {
    private let time: Mutex<Timestamp>

    init(_ time: Timestamp) { self.time = Mutex(time) }

    var now: Timestamp { time.withLock { $0 } }
    func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
}

/// A verifier that knows the key `k1`, and what the test revokes.
final class TestIssuer: Sendable {
    let clock = TestClock(Harness.start)
    let keys: Mutex<[TokenKey]>
    let revocations = Mutex<[TokenRevocation]>([])
    let loads = Mutex(0)

    init() throws {
        keys = Mutex([
            TokenKey(
                kid: "k1", algorithm: "EdDSA", publicKey: try Harness.signer().publicKey,
                notBefore: Harness.start - .seconds(3_600), notAfter: Harness.start + .seconds(86_400))
        ])
    }

    func verifier() -> TokenVerifier {
        TokenVerifier(
            issuer: Harness.publicURL, now: { self.clock.now }, logger: silentLogger,
            load: {
                self.loads.withLock { $0 += 1 }
                return (self.keys.withLock { $0 }, self.revocations.withLock { $0 })
            })
    }

    var sources: Sources {
        Sources(
            now: { self.clock.now }, randomUUID: { _ in UUID() },
            randomBytes: { count in (0..<count).map { _ in UInt8.random(in: 0...255) } })
    }
}

/// Serves a test's routes on a real socket, inside what every service has around them.
func serving<T: Sendable>(
    issuer: TestIssuer? = nil, metrics: MetricsRegistry = MetricsRegistry(),
    _ routes: (Router<APIContext>, inout OpenAPIDocument) -> Void,
    _ body: @escaping @Sendable (any TestClientProtocol) async throws -> T
) async throws -> T {
    let issuer = try issuer ?? TestIssuer()
    let router = Router(context: APIContext.self)
    var document = OpenAPIDocument(service: .intake, title: "Test", summary: "For tests")
    routes(router, &document)
    let application = Application(
        responder: ServiceResponder(
            routes: router.buildResponder(), document: document, verifier: issuer.verifier(),
            publicURL: Harness.publicURL, sources: issuer.sources, metrics: metrics),
        configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)), logger: silentLogger)
    return try await application.test(.live) { try await body($0) }
}

/// For tests of what every service has besides its routes.
func noRoutes(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {}

/// A problem as a client sees it.
struct SeenProblem: Decodable {
    struct Field: Decodable {
        var field: String
        var code: String
        var detail: String
        var detailZH: String
        var allowed: [String]?

        private enum CodingKeys: String, CodingKey {
            case field, code, detail, allowed
            case detailZH = "detail_zh"
        }
    }

    var type: String
    var title: String
    var status: Int
    var code: String
    var detail: String
    var detailZH: String
    var errors: [Field]
    var traceID: String?

    private enum CodingKeys: String, CodingKey {
        case type, title, status, code, detail, errors
        case detailZH = "detail_zh"
        case traceID = "trace_id"
    }

    init(_ response: TestResponse) throws {
        guard response.headers[.contentType] == "application/problem+json" else {
            throw TestFailure("not a problem: \(response.status), \(response.headers[.contentType] ?? "no type")")
        }
        self = try JSONDecoder().decode(SeenProblem.self, from: Data(response.body.readableBytesView))
        guard status == response.status.code else { throw TestFailure("the body says \(status)") }
    }
}

extension TestResponse {
    var text: String { String(decoding: body.readableBytesView, as: UTF8.self) }
}

extension ByteBuffer {
    static func text(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }
}

let device = String(repeating: "d", count: 22)
