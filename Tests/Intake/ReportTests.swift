import Foundation
import Model
import Testing

@testable import IntakeService

@Suite("Reports over HTTP", .timeLimit(.minutes(5)))
struct ReportTests {
    static let routine: [String: any Sendable] = [
        "category": "blocked_gully", "lon": 114.012, "lat": 22.512, "description": "堵了",
    ]

    struct Receipt: Decodable, Equatable {
        struct Photo: Decodable, Equatable {
            struct Refused: Decodable, Equatable { var code: String }
            var sha256: String?
            var thumbnailSha256: String?
            var refused: Refused?
        }
        var id: String
        var code: String
        var emergency: Bool
        var verified: Bool
        var photos: [Photo]
    }

    @Test("a report is in with its place, its announcement and a code that is stored nowhere")
    func accepted() async throws {
        let intake = try await RunningIntake.shared()
        let answer = try await intake.post("/v1/reports", Self.routine)
        #expect(answer.status == 201)
        let receipt = try answer.json(Receipt.self)
        #expect(!receipt.emergency)
        let stored = try await intake.rows(
            """
            SELECT r.district_id, r.community_id, r.rule_code, o.id IS NOT NULL, h.type, h.lane, h.body::text, r.verdict
            FROM intake.report r
            JOIN intake.history h ON h.aggregate_id = r.report_id
            LEFT JOIN intake.outbox o ON o.id = h.id
            WHERE r.report_id = $1
            """, [receipt.id])
        #expect(stored.count == 1)
        let row = try #require(stored.first)
        #expect(row[0] == SmallCity.first && row[1] != nil && row[2] == "routine" && row[7] == "routine")
        #expect(row[3] == "t" && row[4] == "report.received.v1" && row[5] == "r")
        // Events carry no free text; and the code is neither there nor in any other column.
        #expect(row[6]?.contains("堵了") == false)
        let plain = receipt.code.filter { $0 != "-" }
        let found = try await intake.rows(
            """
            SELECT 1 FROM intake.tracking t WHERE encode(code_hash, 'escape') LIKE '%' || $1 || '%'
            UNION ALL SELECT 1 FROM intake.idempotency i WHERE encode(answer, 'escape') LIKE '%' || $1 || '%'
                OR encode(answer, 'escape') LIKE '%' || $2 || '%'
            """, [plain, receipt.code])
        #expect(found.isEmpty)
    }

    @Test("an emergency goes by the lane and says why")
    func emergency() async throws {
        let intake = try await RunningIntake.shared()
        let answer = try await intake.post(
            "/v1/reports", ["category": "flooding", "lon": 114.0305, "lat": 22.5305, "description": "积水"])
        let receipt = try answer.json(Receipt.self)
        #expect(answer.status == 201 && receipt.emergency && receipt.verified)
        let rows = try await intake.rows(
            """
            SELECT r.rule_code, r.rule_inputs ->> 'matchedPlace', e.consumers::text
            FROM intake.report r
            JOIN intake.history h ON h.aggregate_id = r.report_id
            JOIN intake.emergency_outbox e ON e.id = h.id
            WHERE r.report_id = $1
            """, [receipt.id])
        #expect(rows == [["place", "underpass", "{dispatch.emergency}"]])
    }

    @Test("an anonymous sender over its budget is still heard, but not verified")
    func budget() async throws {
        let intake = try await RunningIntake.shared()
        let device = RunningIntake.device()
        var verified: [Bool] = []
        for _ in 0..<5 {
            let answer = try await intake.post(
                "/v1/reports", ["category": "missing_cover", "lon": 114.02, "lat": 22.53], device: device)
            #expect(answer.status == 201)
            verified.append(try answer.json(Receipt.self).verified)
        }
        #expect(verified == [true, true, true, false, false])
        let login = "crew-\(UUID().uuidString.lowercased().prefix(8))"
        try await intake.account(login, [.crew])
        let token = try await intake.signIn(login).accessToken
        let signedIn = try await intake.post(
            "/v1/reports", ["category": "missing_cover", "lon": 114.02, "lat": 22.53], device: device, token: token)
        #expect(try signedIn.json(Receipt.self).verified)
    }

    @Test("the same request again gets the same answer and makes nothing, ten at once")
    func replay() async throws {
        let intake = try await RunningIntake.shared()
        let device = RunningIntake.device()
        let key = UUID().uuidString
        let before = try await intake.rows("SELECT count(*) FROM intake.report WHERE description = 'ten at once'")
        let receipts = try await withThrowingTaskGroup(of: Receipt.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    let answer = try await intake.post(
                        "/v1/reports",
                        ["category": "missing_cover", "lon": 114.012, "lat": 22.512, "description": "ten at once"],
                        device: device, key: key)
                    #expect(answer.status == 201)
                    return try answer.json(Receipt.self)
                }
            }
            return try await group.reduce(into: [Receipt]()) { $0.append($1) }
        }
        #expect(Set(receipts.map(\.code)).count == 1)
        let after = try await intake.rows("SELECT count(*) FROM intake.report WHERE description = 'ten at once'")
        #expect(before == [["0"]] && after == [["1"]])
        let other = try await intake.post("/v1/reports", Self.routine, device: device, key: key)
        #expect(other.status == 422 && other.blamed == ["Idempotency-Key"])
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        var what: String
        var json: String
        var field: String
        var status = 422
        var testDescription: String { what }
    }

    static let bad: [Bad] = [
        Bad(what: "unknown category", json: #"{"category":"x","lon":114.012,"lat":22.512}"#, field: "category"),
        Bad(what: "retired category", json: #"{"category":"retired","lon":114.012,"lat":22.512}"#, field: "category"),
        Bad(what: "no category", json: #"{"lon":114.012,"lat":22.512}"#, field: "category"),
        Bad(
            what: "SQL as category",
            json: #"{"category":"'; DROP TABLE intake.report; --","lon":114.012,"lat":22.512}"#, field: "category"),
        Bad(what: "outside the city", json: #"{"category":"flooding","lon":10,"lat":10}"#, field: "lon"),
        Bad(what: "not on Earth", json: #"{"category":"flooding","lon":114,"lat":91}"#, field: "lat"),
        Bad(what: "half a place", json: #"{"category":"flooding","lon":114.012}"#, field: "lat"),
        Bad(what: "no place", json: #"{"category":"flooding"}"#, field: "lon"),
        Bad(what: "place as text", json: #"{"category":"flooding","lon":"114","lat":22.5}"#, field: "lon"),
        Bad(
            what: "unknown facility", json: #"{"category":"flooding","facility_code":"' OR 1=1"}"#,
            field: "facility_code"),
        Bad(
            what: "unknown community", json: #"{"category":"flooding","community_code":"none"}"#,
            field: "community_code"),
        Bad(
            what: "a street is no community", json: #"{"category":"flooding","community_code":"S1"}"#,
            field: "community_code"),
        Bad(
            what: "in the future",
            json: #"{"category":"flooding","lon":114.012,"lat":22.512,"observed_at":"2100-01-01T00:00:00Z"}"#,
            field: "observed_at"),
        Bad(
            what: "long ago",
            json: #"{"category":"flooding","lon":114.012,"lat":22.512,"observed_at":"2001-01-01T00:00:00Z"}"#,
            field: "observed_at"),
        Bad(
            what: "no time", json: #"{"category":"flooding","lon":114.012,"lat":22.512,"observed_at":"yesterday"}"#,
            field: "observed_at"),
        Bad(
            what: "control characters",
            json: #"{"category":"flooding","lon":114.012,"lat":22.512,"description":"a\u0007b"}"#, field: "description"),
        Bad(
            what: "telephone",
            json: #"{"category":"flooding","lon":114.012,"lat":22.512,"contact":{"phone":"call me"}}"#,
            field: "contact.phone"),
        Bad(
            what: "mail", json: #"{"category":"flooding","lon":114.012,"lat":22.512,"contact":{"email":"me"}}"#,
            field: "contact.email"),
        Bad(
            what: "a sensor's channel", json: #"{"category":"flooding","lon":114.012,"lat":22.512,"channel":"sensor"}"#,
            field: "channel"),
        Bad(
            what: "unknown field", json: #"{"category":"flooding","lon":114.012,"lat":22.512,"verified":true}"#,
            field: "verified"),
        Bad(
            what: "zero character", json: #"{"category":"flooding","lon":114.012,"lat":22.512,"address":"\u0000"}"#,
            field: "address", status: 400),
    ]

    @Test("bad input is told by field and makes nothing", arguments: bad)
    func badInput(bad: Bad) async throws {
        let intake = try await RunningIntake.shared()
        let answer = try await intake.post("/v1/reports", data: Data(bad.json.utf8), type: "application/json")
        #expect(answer.status == bad.status)
        #expect(answer.blamed == [bad.field])
        #expect(answer.headers["content-type"] == ["application/problem+json"])
    }

    @Test("bodies that are no JSON, too deep, too large or of another type")
    func badBodies() async throws {
        let intake = try await RunningIntake.shared()
        let deep = Data((String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)).utf8)
        #expect(try await intake.post("/v1/reports", data: deep, type: "application/json").status == 400)
        let broken = Data([0x7B, 0x22, 0x61, 0x22, 0x3A, 0x22, 0xFF, 0x22, 0x7D])
        #expect(try await intake.post("/v1/reports", data: broken, type: "application/json").status == 400)
        let large = Data(#"{"description":"\#(String(repeating: "x", count: 200_000))"}"#.utf8)
        #expect(try await intake.post("/v1/reports", data: large, type: "application/json").status == 413)
        #expect(try await intake.post("/v1/reports", data: Data("a=b".utf8), type: "text/plain").status == 415)
        #expect(try await intake.post("/v1/reports", data: Data("{}".utf8), type: "multipart/form-data").status == 400)
    }

    @Test("a contact is sealed with its person's key")
    func contact() async throws {
        let intake = try await RunningIntake.shared()
        var report = Self.routine
        report["contact"] = ["name": "王芳芳芳", "phone": "138 1234 5678"]
        let receipt = try await intake.post("/v1/reports", report).json(Receipt.self)
        let rows = try await intake.rows(
            """
            SELECT encode(c.sealed, 'hex'), encode(p.wrapped_key, 'hex'), p.person_id,
                   (SELECT count(*) FROM intake.report r WHERE r.report_id = c.report_id AND r.person_id = p.person_id)
            FROM intake.contact c JOIN intake.person p USING (person_id)
            WHERE c.report_id = $1
            """, [receipt.id])
        let row = try #require(rows.first)
        #expect(row[3] == "1")
        func bytes(_ hex: String?) throws -> [UInt8] {
            let digits = Array(try #require(hex).utf8).map { UInt8($0 > 0x39 ? $0 - 87 : $0 - 48) }
            return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        }
        let opened = try SealedContact.open(
            bytes(row[0]), wrappedKey: bytes(row[1]), personID: #require(UUID(uuidString: row[2] ?? "")),
            master: intake.service.master)
        #expect(opened == Contact(name: "王芳芳芳", phone: "138 1234 5678"))
    }

    @Test("a place may be named by a facility's or a community's code")
    func codes() async throws {
        let intake = try await RunningIntake.shared()
        for place in [["facility_code": "MH-1"], ["community_code": "C1"]] {
            let answer = try await intake.post("/v1/reports", place.merging(["category": "blocked_gully"]) { $1 })
            #expect(answer.status == 201)
        }
    }
}
