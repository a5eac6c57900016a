import Foundation
import Model
import Postgres
import PrivateServers
import Rules
import Testing

@testable import IntakeService
@testable import ServiceKit

/// Each query of a big table, explained as the role that runs it and under the scope that it runs in. Intake's stores run
/// their statements themselves, so they are called; the server tells what it did.
@Suite("Plans on big tables", .serialized, .timeLimit(.minutes(5)))
struct PlanTests {
    @Test("tracking, photos, contacts, accounts and sign-in")
    func people() async throws {
        try await BigCity.with(.intake) { city in
            let http = city.stage.context.http
            let now = city.stage.context.sources.now()
            let rows = try await city.stage.admin.rows(
                "SELECT report_id, sha256 FROM intake.attachment JOIN intake.report USING (report_id) WHERE ordinal = 1 AND report.district_id = '\(BigCity.district(3))' LIMIT 1"
            )
            let report = try #require(rows[0][0].flatMap { Report.ID($0) })
            let digest = try #require(rows[0][1])
            let district = BigCity.district(3)
            let scope = DistrictScope.districts([district.rawValue])
            let caseID = Case.ID(
                try await city.one("SELECT case_id FROM dispatch.report_state WHERE report_id = '\(report)'"))
            let reports = ReportStore(database: http)
            let photos = AttachmentStore(database: http)
            let accounts = AccountStore(database: http)
            let sessions = SessionStore(database: http)
            let account = Account.ID(BigCity.id("a", 13))
            let bucket = [UInt8](repeating: 1, count: 32)
            let plans = try await city.plans {
                for _ in 0..<BigCity.runs {
                    _ = try await reports.find(codeHash: bucket)
                    #expect(try await reports.tracked(report, in: district) != nil)
                    _ = try await reports.timeline(caseID, districts: [district.rawValue])
                    _ = try await photos.known(digest, of: report, in: district)
                    #expect(try await photos.find(digest, districts: [district.rawValue], report: nil) != nil)
                    _ = try await photos.find(digest, districts: [district.rawValue], report: report)
                    _ = try await ContactStore(database: http).looks(
                        at: nil, districts: [district.rawValue], after: nil, limit: 50, scope: scope)
                    _ = try await ContactStore(database: http).looks(
                        at: report, districts: [district.rawValue], after: nil, limit: 50, scope: scope)
                    _ = try await ContactStore(database: http).looks(
                        at: nil, districts: nil, after: nil, limit: 50, scope: .city)
                    _ = try await ContactStore(database: http).look(
                        at: report, by: account, purpose: "test", id: UUID(), hourlyLimit: 1_000, scope: scope)
                    #expect(try await accounts.find(account) != nil)
                    #expect(try await accounts.find(login: "account13") != nil)
                    #expect(try await accounts.find(externalID: "issuer 13") != nil)
                    _ = try await accounts.list(after: "account13", rows: 51)
                    _ = try await sessions.refresh(
                        bucket, deviceHash: nil, next: [UInt8](repeating: 2, count: 32), now: now)
                    _ = try await sessions.charge(bucket, delay: .account, now: now)
                    _ = try await CityStore(database: http).facility(code: "seed/13")
                    _ = try await http.query(
                        IdempotencyStore.stored("intake", hash: bucket), scope: .none)
                }
            }
            // Statements of functions are among them: a tracking code is found by one.
            #expect(plans.contains { $0.statement.contains("intake.tracking t") })
            try expectGoodPlans(plans, of: 20, in: city, role: "sluice_intake_http")
            // What is known by its id lies in one month.
            let one = plans.filter { $0.statement.contains("FROM intake.report r") }
            #expect(!one.isEmpty && one.allSatisfy { $0.tables.count { $0.hasPrefix("intake.report") } == 1 })
        }
    }

    @Test("ending sessions, and what is forgotten in the background")
    func background() async throws {
        try await BigCity.with(.intake) { city in
            let now = city.stage.context.sources.now()
            let account = Account.ID(BigCity.id("a", 13))
            let session = Session.ID(
                try await city.one("SELECT session_id FROM intake.session WHERE ended_at IS NULL LIMIT 1"))
            let ending = [
                SessionStore.end(session, as: .signedOut, now: now),
                SessionStore.endAll(of: account, as: .signedOutEverywhere, now: now),
                SessionStore.forgive([UInt8](repeating: 1, count: 32)),
            ]
            try expectGoodPlans(
                try await city.plans(of: ending, on: city.stage.context.http, scope: .none), of: ending.count, in: city,
                role: "sluice_intake_http")
            let background: [SQL] = ["SELECT intake.purge_canaries(clock_timestamp() - interval '2 minutes')"]
            try expectGoodPlans(
                try await city.plans(of: background, on: city.stage.context.background, scope: .all),
                of: background.count, in: city, role: "sluice_intake_bg")
        }
    }
}
