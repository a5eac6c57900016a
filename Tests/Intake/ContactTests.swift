import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import IntakeService

@Suite("Looking at a contact", .timeLimit(.minutes(5)))
struct ContactTests {
    private struct Shown: Decodable {
        struct Contact: Decodable { var name, phone, email: String? }
        var contact: Contact
        var lookId: String
    }

    private struct Log: Decodable {
        struct Item: Decodable { var lookId, reportId, purpose: String }
        var items: [Item]
    }

    /// A report of the first district with a contact; answers its id.
    private static func report(_ intake: RunningIntake, name: String = "陈八九") async throws -> String {
        var report = ReportTests.routine
        report["contact"] = ["name": name, "phone": "13800000009"]
        return try await intake.post("/v1/reports", report).json(ReportTests.Receipt.self).id
    }

    private static func token(_ intake: RunningIntake, _ role: Role, _ district: String) async throws -> String {
        let login = "look-\(role.rawValue)-\(UUID().uuidString.prefix(8).lowercased())"
        try await intake.account(login, [role], districts: [try #require(District.ID(district))])
        let token = try #require(try await intake.signIn(login).accessToken)
        // The first keys of a new database take a moment to reach who checks tokens.
        for _ in 0..<600 {
            let answer = try await intake.send(.get, "/v1/session", headers: ["Authorization": "Bearer \(token)"])
            if answer.status == 200 { return token }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw RunningIntake.NotReady()
    }

    private static func looks(_ intake: RunningIntake, _ report: String) async throws -> [[String?]] {
        try await intake.rows("SELECT purpose FROM intake.contact_look WHERE report_id = $1", [report])
    }

    private static let call = ["purpose": "回电核实位置"]

    @Test("a dispatcher who says why sees it, and each look is in the log")
    func shown() async throws {
        let intake = try await RunningIntake.shared()
        let report = try await Self.report(intake)
        let dispatcher = try await Self.token(intake, .dispatcher, SmallCity.first)
        let answer = try await intake.post("/v1/contacts/\(report)/look", Self.call, token: dispatcher)
        #expect(answer.status == 200)
        #expect(answer.headers["cache-control"] == ["no-store"])
        let shown = try answer.json(Shown.self)
        #expect(shown.contact.name == "陈八九" && shown.contact.phone == "13800000009" && shown.contact.email == nil)
        _ = try await intake.post("/v1/contacts/\(report)/look", Self.call, token: dispatcher)
        let manager = try await Self.token(intake, .manager, SmallCity.first)
        let log = try await intake.send(
            .get, "/v1/contacts/looks?report_id=\(report)", headers: ["Authorization": "Bearer \(manager)"]
        ).json(Log.self)
        #expect(log.items.map(\.purpose) == ["回电核实位置", "回电核实位置"])
        #expect(log.items.last?.lookId == shown.lookId)
    }

    @Test("nobody else sees it: other roles, strangers, another district", arguments: [Role.crew, .office, .manager])
    func refused(role: Role) async throws {
        let intake = try await RunningIntake.shared()
        let report = try await Self.report(intake)
        let path = "/v1/contacts/\(report)/look"
        let other = try await Self.token(intake, role, SmallCity.first)
        #expect(try await intake.post(path, Self.call, token: other).status == 403)
        #expect(try await intake.post(path, Self.call).status == 401)
        let neighbour = try await Self.token(intake, .dispatcher, SmallCity.second)
        #expect(try await intake.post(path, Self.call, token: neighbour).status == 404)
        #expect(try await Self.looks(intake, report).isEmpty)
        let manager = try await Self.token(intake, .manager, SmallCity.second)
        _ = try await intake.post(
            path, Self.call, token: try await Self.token(intake, .dispatcher, SmallCity.first))
        let log = try await intake.send(
            .get, "/v1/contacts/looks?report_id=\(report)", headers: ["Authorization": "Bearer \(manager)"]
        ).json(Log.self)
        #expect(log.items.isEmpty)
    }

    @Test("a look without a reason is none")
    func purpose() async throws {
        let intake = try await RunningIntake.shared()
        let report = try await Self.report(intake)
        let dispatcher = try await Self.token(intake, .dispatcher, SmallCity.first)
        for body in [[:], ["purpose": ""], ["purpose": "看看"]] {
            let answer = try await intake.post("/v1/contacts/\(report)/look", body, token: dispatcher)
            #expect(answer.status == 422 && answer.blamed == ["purpose"])
        }
        #expect(try await Self.looks(intake, report).isEmpty)
    }

    @Test("a report without a contact has none to show")
    func none() async throws {
        let intake = try await RunningIntake.shared()
        let receipt = try await intake.post("/v1/reports", ReportTests.routine).json(ReportTests.Receipt.self)
        let dispatcher = try await Self.token(intake, .dispatcher, SmallCity.first)
        #expect(try await intake.post("/v1/contacts/\(receipt.id)/look", Self.call, token: dispatcher).status == 404)
    }

    @Test("an account that has looked often has to wait")
    func often() async throws {
        let intake = try await RunningIntake.shared()
        let report = try await Self.report(intake)
        let dispatcher = try await Self.token(intake, .dispatcher, SmallCity.first)
        let path = "/v1/contacts/\(report)/look"
        _ = try await intake.post(path, Self.call, token: dispatcher)
        _ = try await intake.rows(
            """
            INSERT INTO intake.contact_look (look_id, report_id, district_id, person_id, account_id, purpose)
            SELECT sluice.uuid_v7(clock_timestamp()), l.report_id, l.district_id, l.person_id, l.account_id, l.purpose
            FROM intake.contact_look l, generate_series(2, \(ContactRoutes.hourlyLimit)) WHERE l.report_id = $1
            """, [report])
        let answer = try await intake.post(path, Self.call, token: dispatcher)
        #expect(answer.status == 429 && answer.headers["retry-after"] != nil)
    }

    @Test("an erased person is gone for good, and the look is logged")
    func erased() async throws {
        let intake = try await RunningIntake.shared()
        let report = try await Self.report(intake)
        _ = try await intake.rows(
            """
            UPDATE intake.person SET wrapped_key = NULL, erased_at = clock_timestamp()
            WHERE person_id = (SELECT person_id FROM intake.contact WHERE report_id = $1)
            """, [report])
        let dispatcher = try await Self.token(intake, .dispatcher, SmallCity.first)
        let answer = try await intake.post("/v1/contacts/\(report)/look", Self.call, token: dispatcher)
        #expect(answer.status == 410 && answer.problemCode == "contact_erased")
        #expect(try await Self.looks(intake, report).count == 1)
    }

    @Test(
        "the log can't be changed",
        arguments: ["UPDATE intake.contact_look SET purpose = 'x'", "DELETE FROM intake.contact_look"])
    func appendOnly(sql: String) async throws {
        let intake = try await RunningIntake.shared()
        _ = try await Self.report(intake)
        for role in ["sluice_intake_http", "sluice_intake_bg"] {
            let connection = try await intake.server.open(role, database: intake.database)
            await #expect(throws: (any Error).self) { try await connection.rows(sql) }
        }
    }

    // MARK: - Erasing

    private static func administrator(_ intake: RunningIntake) async throws -> String {
        try await token(intake, .admin, District.city.description)
    }

    private struct Erased: Decodable { var erasedReports: Int }

    /// Tables of all schemas in which the text stands, in whatever column, also as bytes.
    private static func tables(_ intake: RunningIntake, holding text: String) async throws -> [String] {
        let hex = text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        var found: [String] = []
        let tables = try await intake.rows(
            """
            SELECT c.oid::regclass::text FROM pg_class c
            WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text = ANY ($1::text[])
            """, ["{sluice,\(ServiceName.allCases.map(\.schema).joined(separator: ","))}"])
        for table in tables.compactMap({ $0[0] }) {
            let rows = try await intake.rows(
                "SELECT 1 FROM \(table) t WHERE position($1 in t::text) > 0 OR position($2 in t::text) > 0 LIMIT 1",
                [text, hex])
            if !rows.isEmpty { found.append(table) }
        }
        return found
    }

    @Test("an erased person is in no table of any schema, whatever the report, and the log says who did it and why")
    func erasing() async throws {
        let intake = try await RunningIntake.shared()
        let number = "1390" + String(Int.random(in: 1_000_000...9_999_999))
        var ids: [String] = []
        // The same person from two districts, once as they write it on paper.
        for (lon, phone) in [(114.012, number), (114.08, "\(number.prefix(3)) \(number.dropFirst(3))")] {
            var report = ReportTests.routine
            report["lon"] = lon
            report["contact"] = ["name": "欧阳抹除", "phone": phone, "email": "erase-\(number)@example.org"]
            ids.append(try await intake.post("/v1/reports", report).json(ReportTests.Receipt.self).id)
        }
        var other = ReportTests.routine
        other["contact"] = ["name": "欧阳抹除", "phone": "13700000001"]
        let kept = try await intake.post("/v1/reports", other).json(ReportTests.Receipt.self).id
        let sealed = try await intake.rows(
            "SELECT encode(sealed, 'hex'), encode(wrapped_key, 'hex'), encode(lookup_hash, 'hex') "
                + "FROM intake.contact JOIN intake.person USING (person_id) WHERE report_id = $1", [ids[1]])
        let secrets = try sealed[0].map { try #require($0) }
        let administrator = try await Self.administrator(intake)
        let path = "/v1/contacts/\(ids[0])/erase"
        let purpose = ["purpose": "当事人要求删除"]
        let key = UUID().uuidString
        let answer = try await intake.post(path, purpose, key: key, token: administrator)
        #expect(try answer.json(Erased.self).erasedReports == 2)
        #expect(try await intake.post(path, purpose, key: key, token: administrator).bytes == answer.bytes)
        #expect(try await intake.post(path, purpose, token: administrator).json(Erased.self).erasedReports == 0)

        for secret in ["欧阳抹除", number, "erase-\(number)@example.org"] + secrets {
            #expect(try await Self.tables(intake, holding: secret).isEmpty, "\(secret)")
        }
        let dispatcher = try await Self.token(intake, .dispatcher, SmallCity.second)
        #expect(try await intake.post("/v1/contacts/\(ids[1])/look", Self.call, token: dispatcher).status == 410)
        // Somebody else of that name is somebody else.
        let first = try await Self.token(intake, .dispatcher, SmallCity.first)
        #expect(try await intake.post("/v1/contacts/\(kept)/look", Self.call, token: first).status == 200)
        let log = try await intake.rows(
            "SELECT act, purpose FROM intake.contact_look WHERE report_id = ANY ($1::uuid[]) ORDER BY look_id",
            ["{\(ids.joined(separator: ","))}"])
        #expect(log == [["erase", "当事人要求删除"], ["erase", "当事人要求删除"], ["look", "回电核实位置"]])
    }

    @Test("a name alone is many people's: only this report's is erased")
    func erasingName() async throws {
        let intake = try await RunningIntake.shared()
        var ids: [String] = []
        for _ in 0..<2 {
            var report = ReportTests.routine
            report["contact"] = ["name": "王同名"]
            ids.append(try await intake.post("/v1/reports", report).json(ReportTests.Receipt.self).id)
        }
        let answer = try await intake.post(
            "/v1/contacts/\(ids[0])/erase", ["purpose": "当事人要求删除"], token: try await Self.administrator(intake))
        #expect(try answer.json(Erased.self).erasedReports == 1)
        let dispatcher = try await Self.token(intake, .dispatcher, SmallCity.first)
        for (id, status) in zip(ids, [410, 200]) {
            #expect(try await intake.post("/v1/contacts/\(id)/look", Self.call, token: dispatcher).status == status)
        }
    }

    @Test("only administrators of the whole city erase, and say why")
    func erasingRefused() async throws {
        let intake = try await RunningIntake.shared()
        let path = "/v1/contacts/\(try await Self.report(intake))/erase"
        let purpose = ["purpose": "当事人要求删除"]
        for (role, district) in [
            (Role.dispatcher, SmallCity.first), (.manager, SmallCity.first), (.admin, SmallCity.first),
        ] {
            let token = try await Self.token(intake, role, district)
            #expect(try await intake.post(path, purpose, token: token).status == 403)
        }
        #expect(try await intake.post(path, purpose).status == 401)
        let administrator = try await Self.administrator(intake)
        #expect(try await intake.post(path, ["purpose": ""], token: administrator).blamed == ["purpose"])
        let none = try await intake.post("/v1/reports", ReportTests.routine).json(ReportTests.Receipt.self).id
        #expect(try await intake.post("/v1/contacts/\(none)/erase", purpose, token: administrator).status == 404)
    }
}
