import Foundation
import Model
import Postgres
import PrivateServers
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
}
