import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Model
import Postgres
import ServiceKit
import Synchronization
import Testing

/// Only the built-in issuer's own tokens open anything, and only while they hold.
@Suite struct SignInTests {
    private let issuer: TestIssuer

    init() throws { issuer = try TestIssuer() }

    private func fault(_ token: String) async throws -> Token.Fault {
        do {
            _ = try await issuer.verifier().verify(token)
        } catch let fault {
            return fault
        }
        throw TestFailure("the token was accepted")
    }

    private func forged(header: String, payload: String, sign: ([UInt8]) throws -> [UInt8]) throws -> String {
        let signed = "\(Base64URL.encode(Array(header.utf8))).\(Base64URL.encode(Array(payload.utf8)))"
        return "\(signed).\(Base64URL.encode(try sign(Array(signed.utf8))))"
    }

    private func payload(_ change: (inout [String: Any]) -> Void = { _ in }) throws -> String {
        let now = Int(Harness.start.microseconds / 1_000_000)
        var claims: [String: Any] = [
            "iss": Harness.publicURL, "aud": "sluice", "sub": UUID().uuidString, "sid": UUID().uuidString, "iat": now,
            "exp": now + 600, "roles": ["admin"], "districts": ["*"], "name": "M",
        ]
        change(&claims)
        return String(decoding: try JSONSerialization.data(withJSONObject: claims), as: UTF8.self)
    }

    private func signed(_ payload: String, header: String = #"{"alg":"EdDSA","kid":"k1","typ":"JWT"}"#) throws -> String
    {
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: Harness.seed)
        return try forged(header: header, payload: payload) { Array(try key.signature(for: $0)) }
    }

    @Test func `a good token gives its claims`() async throws {
        let district = UUID()
        let claims = Harness.claims([.crew, .office], districts: .districts([district]))
        let read = try await issuer.verifier().verify(try Harness.signer().sign(claims))
        #expect(read == claims)
        #expect(read.covers(District.ID(district)))
        #expect(!read.covers(District.ID(UUID())))
    }

    @Test func `the city's token covers every district`() async throws {
        let read = try await issuer.verifier().verify(try Harness.signer().sign(Harness.claims(districts: .city)))
        #expect(read.districts == .city)
        #expect(read.covers(District.ID(UUID())))
    }

    @Test(arguments: ["none", "HS256", "RS256", "ES256", "eddsa", "EdDSA ", "ES256K"])
    func `another algorithm is refused, whoever signed`(algorithm: String) async throws {
        let header = #"{"alg":"\#(algorithm)","kid":"k1","typ":"JWT"}"#
        let publicKey = try Harness.signer().publicKey
        // The classic confusion: the published key used as the secret of a symmetric algorithm.
        let confused = try forged(header: header, payload: try payload()) {
            Array(HMAC<SHA256>.authenticationCode(for: $0, using: SymmetricKey(data: publicKey)))
        }
        #expect(try await fault(confused) == .algorithm)
        #expect(try await fault(try signed(try payload(), header: header)) == .algorithm)
        #expect(try await fault(try forged(header: header, payload: try payload()) { _ in [] }) == .algorithm)
    }

    @Test func `a signature of another key is refused`() async throws {
        let other = try Harness.signer(seed: [UInt8](repeating: 8, count: 32)).sign(Harness.claims())
        #expect(try await fault(other) == .signature)
    }

    @Test func `a changed part is refused`() async throws {
        let token = try Harness.signer().sign(Harness.claims([.crew]))
        let parts = token.split(separator: ".").map(String.init)
        let raised = Base64URL.encode(Array(try payload().utf8))
        #expect(try await fault("\(parts[0]).\(raised).\(parts[2])") == .signature)
        for position in stride(from: 0, to: token.utf8.count, by: 7) {
            var bytes = Array(token.utf8)
            bytes[position] = bytes[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            await #expect(throws: Token.Fault.self) {
                try await issuer.verifier().verify(String(decoding: bytes, as: UTF8.self))
            }
        }
    }

    @Test(arguments: [
        "", ".", "..", "...", "a.b.c", "e30.e30.e30", "e30.e30", String(repeating: "a", count: 5_000), "é.é.é",
        "e30=.e30=.e30=",
    ])
    func `what is no token is refused`(text: String) async throws {
        #expect(try await fault(text) == .form)
    }

    @Test func `a header marked critical is refused`() async throws {
        let header = #"{"alg":"EdDSA","kid":"k1","crit":["exp"]}"#
        #expect(try await fault(try signed(try payload(), header: header)) == .algorithm)
    }

    @Test func `issuer, audience and form of the claims are checked`() async throws {
        #expect(try await fault(try signed(try payload { $0["iss"] = "http://evil" })) == .issuer)
        #expect(try await fault(try signed(try payload { $0["aud"] = "other" })) == .audience)
        #expect(try await fault(try signed(try payload { $0["aud"] = nil })) == .claims)
        #expect(try await fault(try signed(try payload { $0["exp"] = nil })) == .claims)
        #expect(try await fault(try signed(try payload { $0["exp"] = "never" })) == .claims)
        #expect(try await fault(try signed(try payload { $0["exp"] = Int64.max })) == .claims)
        #expect(try await fault(try signed(try payload { $0["sub"] = "root" })) == .claims)
        #expect(try await fault(try signed(try payload { $0["districts"] = ["*", "*"] })) == .claims)
        #expect(
            try await fault(try signed(try payload { $0["iat"] = ($0["iat"] as? Int ?? 0) + 3_600 })) == .notYetValid)
    }

    @Test func `a role that does not exist is no role`() async throws {
        let token = try signed(try payload { $0["roles"] = ["root", "crew"] })
        #expect(try await issuer.verifier().verify(token).roles == [.crew])
    }

    @Test func `a token ends at its time, to the second`() async throws {
        let token = try Harness.signer().sign(Harness.claims())
        issuer.clock.advance(Token.lifetime - .seconds(1))
        _ = try await issuer.verifier().verify(token)
        issuer.clock.advance(.seconds(1))
        #expect(try await fault(token) == .expired)
    }

    @Test func `a key is used within its time only`() async throws {
        let token = try Harness.signer().sign(Harness.claims())
        issuer.keys.withLock { $0[0].notBefore = Harness.start + .seconds(3_600) }
        #expect(try await fault(token) == .keyNotInUse)
        issuer.keys.withLock {
            $0[0].notBefore = Harness.start - .seconds(7_200)
            $0[0].notAfter = Harness.start
        }
        #expect(try await fault(token) == .keyNotInUse)
    }

    @Test func `an unknown key is looked up at once, but not for every stranger`() async throws {
        let verifier = issuer.verifier()
        _ = try await verifier.verify(try Harness.signer().sign(Harness.claims()))
        #expect(issuer.loads.withLock { $0 } == 1)
        let unknown = try Harness.signer(kid: "k2").sign(Harness.claims())
        for _ in 0..<50 { await #expect(throws: Token.Fault.unknownKey) { try await verifier.verify(unknown) } }
        #expect(issuer.loads.withLock { $0 } == 1)
        issuer.keys.withLock { $0.append($0[0]) }
        issuer.keys.withLock { $0[1].kid = "k2" }
        issuer.clock.advance(.seconds(1))
        _ = try await verifier.verify(unknown)
        #expect(issuer.loads.withLock { $0 } == 2)
    }

    @Test func `a key of another algorithm that is published under our name is not used`() async throws {
        issuer.keys.withLock { $0[0].algorithm = "RS256" }
        #expect(try await fault(try Harness.signer().sign(Harness.claims())) == .unknownKey)
    }

    @Test func `a session, or everything up to a moment, can be taken back`() async throws {
        let first = Harness.claims()
        var second = first
        second.sid = Session.ID(UUID())
        issuer.revocations.withLock {
            $0 = [
                TokenRevocation(
                    subject: first.sub, session: first.sid, revokedAt: Harness.start,
                    expiresAt: Harness.start + .seconds(600))
            ]
        }
        #expect(try await fault(try Harness.signer().sign(first)) == .revoked)
        _ = try await issuer.verifier().verify(try Harness.signer().sign(second))

        issuer.revocations.withLock {
            $0 = [
                TokenRevocation(
                    subject: first.sub, session: nil, revokedAt: Harness.start, expiresAt: Harness.start + .seconds(600)
                )
            ]
        }
        #expect(try await fault(try Harness.signer().sign(second)) == .revoked)
        second.issuedAt = Harness.start + .seconds(1)
        issuer.clock.advance(.seconds(2))
        _ = try await issuer.verifier().verify(try Harness.signer().sign(second))
    }

    @Test func `a token that was good before is refused when it ends, is taken back, or its key goes`() async throws {
        let verifier = issuer.verifier()
        let claims = Harness.claims()
        let token = try Harness.signer().sign(claims)
        for _ in 0..<3 { #expect(try await verifier.verify(token) == claims) }
        await #expect(throws: Token.Fault.signature) {
            try await verifier.verify(String(token.dropLast(2)) + (token.hasSuffix("AA") ? "BA" : "AA"))
        }

        issuer.revocations.withLock {
            $0 = [
                TokenRevocation(
                    subject: claims.sub, session: claims.sid, revokedAt: Harness.start,
                    expiresAt: claims.expiresAt)
            ]
        }
        await verifier.refresh()
        await #expect(throws: Token.Fault.revoked) { try await verifier.verify(token) }
        issuer.revocations.withLock { $0 = [] }
        await verifier.refresh()
        #expect(try await verifier.verify(token) == claims)

        issuer.keys.withLock { $0[0].kid = "k2" }
        await verifier.refresh()
        await #expect(throws: Token.Fault.unknownKey) { try await verifier.verify(token) }
        issuer.keys.withLock { $0[0].kid = "k1" }
        await verifier.refresh()
        #expect(try await verifier.verify(token) == claims)

        issuer.clock.advance(Token.lifetime)
        await #expect(throws: Token.Fault.expired) { try await verifier.verify(token) }
    }

    @Test func `more senders than are remembered are all told apart`() async throws {
        let verifier = issuer.verifier()
        let signer = try Harness.signer()
        let everybody = (0..<1_100).map { _ in
            var claims = Harness.claims()
            claims.sub = Account.ID(UUID())
            return claims
        }
        for claims in everybody + everybody.prefix(10) {
            #expect(try await verifier.verify(try signer.sign(claims)) == claims)
        }
    }

    // MARK: Over HTTP

    private func routes(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, Operation(.get, "/v1/open", "Anyone", access: .anyone, answers: [.ok(.any)])) {
            _, context in
            context.principal.actor
        }
        router.add(&document, Operation(.post, "/v1/open", "Anyone", access: .anyone, answers: [.ok(.any)])) {
            _, context in
            context.principal.actor
        }
        router.add(
            &document, Operation(.get, "/v1/closed", "Dispatchers", access: .roles(.dispatcher), answers: [.ok(.any)])
        ) { _, context in
            try context.require(.dispatcher, .admin).name
        }
        router.add(
            &document,
            Operation(.get, "/v1/districts/{id}", "One", access: .signedIn, answers: [.ok(.any)])
        ) { _, context in
            let id = try context.pathID("id", District.self)
            try context.requireDistrict(id, field: "id")
            return "in"
        }
    }

    @Test func `nobody is 401, the wrong role is 403, the right one comes in`() async throws {
        try await serving(issuer: issuer, routes) { client in
            let nobody = try await client.execute(uri: "/v1/closed", method: .get)
            #expect(nobody.status == .unauthorized)
            #expect(nobody.headers[.wwwAuthenticate] == "Bearer realm=\"sluice\"")
            let crew = try await client.execute(
                uri: "/v1/closed", method: .get, headers: try Harness.bearer(Harness.claims([.crew])))
            #expect(try SeenProblem(crew).code == "forbidden")
            let dispatcher = try await client.execute(uri: "/v1/closed", method: .get, headers: try Harness.bearer())
            #expect(dispatcher.text == "Test")
        }
    }

    @Test(arguments: ["Bearer", "Bearer x.y.z", "Basic YWRtaW46YWRtaW4=", "x", "Bearer  ", "bearer a b"])
    func `a token that is not accepted is 401 even where none is needed`(header: String) async throws {
        try await serving(issuer: issuer, routes) { client in
            let response = try await client.execute(uri: "/v1/open", method: .get, headers: [.authorization: header])
            #expect(response.status == .unauthorized)
            #expect(try SeenProblem(response).code == "invalid_token")
        }
    }

    @Test func `another district is 403 and names the field`() async throws {
        try await serving(issuer: issuer, routes) { client in
            let mine = UUID()
            let headers = try Harness.bearer(Harness.claims(districts: .districts([mine])))
            let own = try await client.execute(uri: "/v1/districts/\(mine)", method: .get, headers: headers)
            #expect(own.text == "in")
            let other = try await client.execute(uri: "/v1/districts/\(UUID())", method: .get, headers: headers)
            #expect(other.status == .forbidden)
            #expect(try SeenProblem(other).errors.map(\.field) == ["id"])
            let none = try await client.execute(uri: "/v1/districts/1%20OR%201=1", method: .get, headers: headers)
            #expect(none.status == .notFound)
        }
    }

    @Test func `a browser's cookie signs in, and a stale one is nobody's`() async throws {
        try await serving(issuer: issuer, routes) { client in
            let claims = Harness.claims()
            let good = try Harness.signer().sign(claims)
            let seen = try await client.execute(
                uri: "/v1/open", method: .get, headers: [.cookie: "a=b; __Host-sluice=\(good)"])
            #expect(seen.text == "account:\(claims.sub)")
            let stale = try Harness.signer().sign(Harness.claims(issuedAt: Harness.start - .seconds(3_600)))
            let unseen = try await client.execute(
                uri: "/v1/open", method: .get, headers: [.cookie: "__Host-sluice=\(stale)"])
            #expect(unseen.text == "anonymous")
        }
    }

    @Test func `an unsafe request with a cookie must come from our own pages`() async throws {
        let site = HTTPField.Name("Sec-Fetch-Site")!
        let cookie = "__Host-sluice=\(try Harness.signer().sign(Harness.claims()))"
        let json = HTTPFields(dictionaryLiteral: (.contentType, "application/json"), (.cookie, cookie))
        let cases: [(HTTPFields, HTTPResponse.Status)] = [
            ([site: "same-origin"], .ok), ([site: "none"], .ok), ([site: "cross-site"], .forbidden),
            ([site: "same-site"], .forbidden), ([.origin: Harness.publicURL], .ok),
            ([.origin: "http://sluice.test.evil"], .forbidden), ([.origin: "null"], .forbidden), ([:], .forbidden),
            ([site: "same-origin", .contentType: "text/plain"], .forbidden),
            ([site: "same-origin", .contentType: "multipart/form-data; boundary=x"], .forbidden),
            ([site: "same-origin", .contentType: "multipart/form-data; boundary=x", .idempotencyKey: "12345678"], .ok),
        ]
        try await serving(issuer: issuer, routes) { client in
            for (extra, status) in cases {
                var headers = json
                for field in extra { headers[field.name] = field.value }
                let response = try await client.execute(
                    uri: "/v1/open", method: .post, headers: headers, body: .text("{}"))
                #expect(response.status == status, "\(extra)")
            }
        }
    }

    @Test(arguments: ["short", "has a blank in it, and is long enough", String(repeating: "a", count: 65)])
    func `a device key that is none is refused by name`(key: String) async throws {
        try await serving(issuer: issuer, routes) { client in
            let response = try await client.execute(uri: "/v1/open", method: .get, headers: [.sluiceDevice: key])
            #expect(response.status == .badRequest)
            #expect(try SeenProblem(response).errors.map(\.field) == ["Sluice-Device"])
        }
    }

    @Test func `a device key is never printed`() throws {
        let key = try #require(DeviceKey(device))
        #expect("\(key) \(String(reflecting: key))".contains(device) == false)
        #expect(key.digest.count == 32)
    }
}
