import Foundation
import Model
import Postgres
import PrivateServers
import Rules
import Testing

@testable import IntakeService

@Suite("Following a report", .timeLimit(.minutes(5)))
struct TrackingTests {
    struct Page: Decodable {
        struct Step: Decodable { var fact: String }
        struct Case: Decodable {
            var number: String
            var merged: Bool
        }
        var state: String
        var emergency: Bool
        var `case`: Case?
        var timeline: [Step]
        var photos: Int
    }

    @Test("what the code shows names no place, person, text or id")
    func publicPage() async throws {
        let intake = try await RunningIntake.shared()
        var report = ReportTests.routine
        report["description"] = "很私人的描述"
        report["address"] = "某某路1号"
        report["contact"] = ["name": "李四五"]
        let receipt = try await intake.post("/v1/reports", report).json(ReportTests.Receipt.self)
        for text in [receipt.code, receipt.code.lowercased().filter { $0 != "-" }] {
            let answer = try await intake.send(.get, "/v1/reports/\(text)")
            #expect(answer.status == 200)
            let page = try answer.json(Page.self)
            #expect(page.state == "received" && page.timeline.map(\.fact) == ["received"] && page.case == nil)
            let shown = String(decoding: answer.bytes, as: UTF8.self)
            for secret in ["私人", "某某路", "李四", receipt.id, "114.0", "22.5"] { #expect(!shown.contains(secret)) }
        }
    }

    @Test(
        "codes that lead nowhere all get the same answer",
        arguments: [
            "0000-0000-0000-00", "7K2M-Q9XD-4RTB-VH", "x", "%00", "..", "'%20OR%201=1", "%F0%9F%98%80",
        ])
    func nowhere(code: String) async throws {
        let intake = try await RunningIntake.shared()
        let answer = try await intake.send(.get, "/v1/reports/\(code)")
        #expect(answer.status == 404 && answer.problemCode == "not_found")
    }

    @Test("nobody can list codes, not even the service's own roles")
    func unlisted() async throws {
        let intake = try await RunningIntake.shared()
        for role in ["sluice_intake_http", "sluice_intake_bg", "sluice_dispatch_bg", "sluice_control"] {
            let connection = try await intake.server.open(role, database: intake.database)
            await #expect(throws: (any Error).self) { try await connection.rows("SELECT * FROM intake.tracking") }
        }
    }

    @Test("the case's progress is shown, a rejection too, and a merge is followed")
    func progress() {
        let report = TrackedReport(
            id: Report.ID(UUID()), districtID: District.ID(UUID()), category: "flooding", emergency: false,
            verdict: "routine", reason: .init("routine", zh: "", en: ""), receivedAt: Timestamp(microseconds: 10),
            observedAt: Timestamp(microseconds: 5), outcome: .case, outcomeReason: nil, decidedAt: nil,
            caseID: Case.ID(UUID()), photoCount: 2)
        func state(_ number: String, _ state: CaseState, merged: Bool) -> TrackedReport.CaseState {
            .init(
                id: Case.ID(UUID()), number: number, state: state, districtID: report.districtID, emergency: true,
                mergedInto: merged ? Case.ID(UUID()) : nil)
        }
        let steps = [("filed", 10), ("assigned", 30), ("en_route", 40), ("new_word", 50)].map {
            TrackedReport.Step(at: Timestamp(microseconds: Int64($0.1)), fact: $0.0)
        }
        let page = TrackReport.page(
            report, cases: [state("A", .merged, merged: true), state("B", .handling, merged: false)], steps: steps,
            category: nil)
        #expect(page.state == "handling" && page.case?.number == "B" && page.case?.merged == true && page.emergency)
        #expect(page.timeline.map(\.fact) == ["received", "filed", "assigned", "en_route", "new_word"])
        #expect(page.timeline.allSatisfy { !$0.zh.isEmpty && !$0.en.isEmpty })
        var rejected = report
        rejected.outcome = .rejected
        rejected.decidedAt = Timestamp(microseconds: 60)
        let end = TrackReport.page(rejected, cases: [], steps: [], category: nil)
        #expect(end.state == "rejected" && end.timeline.map(\.fact) == ["received", "rejected"] && end.case == nil)
    }
}
