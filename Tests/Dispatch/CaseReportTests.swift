import Foundation
import HTTPTypes
import Model
import Postgres
import ServiceKit
import Testing

@testable import DispatchService

@Suite("The reports of one case")
struct CaseReportTests {
    /// A case with 201 reports, one more than a list of the case shows.
    private func storm(_ stage: Stage) async throws -> Case.ID {
        for _ in 0..<3 { try await stage.deliver((0..<67).map { _ in stage.report("blockage") }) }
        let cases = try await stage.cases()
        #expect(cases.map(\.reportCount) == [201])
        return try #require(cases.first).caseID
    }

    @Test("a case with more reports than its list shows says how many there are, and gives all of them in pages")
    func all() async throws {
        try await Stage.with { stage in
            let caseID = try await storm(stage)
            let document = stage.service.routes().document
            let token = try stage.token([.dispatcher])
            try await stage.serving { caller in
                let detail = try await caller.get("/v1/cases/\(caseID)", token)
                #expect(detail.items("reports").count == 200)
                #expect(detail.integer("reports_total") == 201)
                #expect(detail.integer("orders_total") == 0 && detail.integer("photos_total") == 0)
                #expect(detail.integer("decisions_total") == detail.items("decisions").count)
                #expect(Self.violations(document, "/v1/cases/\(caseID)", detail) == [])

                var seen: [String] = []
                var pages: [Int] = []
                var path = "/v1/cases/\(caseID)/reports?limit=80"
                while pages.count < 10 {
                    let page = try await caller.get(path, token)
                    #expect(page.status == 200, "\(page.text)")
                    #expect(Self.violations(document, "/v1/cases/\(caseID)/reports", page) == [])
                    pages.append(page.items().count)
                    for index in page.items().indices { seen.append(page.string("items.\(index).report_id") ?? "") }
                    #expect(page.items("items.0.photos").isEmpty && page["items.0.photos"] != .null)
                    guard let next = page.string("next") else { break }
                    path = "/v1/cases/\(caseID)/reports?limit=80&cursor=\(next)"
                }
                #expect(pages == [80, 80, 41])
                #expect(Set(seen).count == 201)
                // In the order in which the case's own list has them.
                let listed = detail.items("reports").indices.map { detail.string("reports.\($0).report_id") ?? "" }
                #expect(Array(seen.prefix(200)) == listed)
            }
        }
    }

    @Test("only who sees the case sees its reports: staff in its district, and a crew that has an order for it")
    func scope() async throws {
        try await Stage.with { stage in
            let accounts = (own: Account.ID(UUID()), other: Account.ID(UUID()))
            try await stage.crew("own", account: accounts.own)
            try await stage.crew("other", account: accounts.other, onShift: false)
            try await stage.deliver([stage.report("blockage")])
            let caseID = try #require(try await stage.cases().first).caseID
            #expect(try await stage.claiming.claimRoutine(limit: 10) == 1)
            let path = "/v1/cases/\(caseID)/reports"
            try await stage.serving { caller in
                let own = try await caller.get(path, try stage.token([.crew], account: accounts.own))
                #expect(own.status == 200 && own.items().count == 1, "\(own.text)")
                let other = try await caller.get(path, try stage.token([.crew], account: accounts.other))
                #expect(other.status == 404)
                let detail = try await caller.get(
                    "/v1/cases/\(caseID)", try stage.token([.crew], account: accounts.other))
                #expect(detail.status == 404)
                let away = try stage.token([.dispatcher], districts: [stage.otherDistrict])
                #expect(try await caller.get(path, away).status == 404)
                #expect(try await caller.get(path, nil).status == 401)
                #expect(try await caller.get(path, try stage.token([.resident])).status == 403)
                let token = try stage.token([.dispatcher])
                let unknown = UUID().uuidString.lowercased()
                #expect(try await caller.get("/v1/cases/\(unknown)/reports", token).status == 404)
                for bad in ["limit=0", "cursor=zz"] {
                    #expect(try await caller.get("\(path)?\(bad)", token).status == 422, "\(bad)")
                }
            }
        }
    }

    private static func violations(_ document: OpenAPIDocument, _ path: String, _ answer: Answer) -> [String] {
        document.violations(
            .get, path, status: HTTPResponse.Status(code: answer.status), contentType: answer.headers[.contentType],
            body: answer.bytes)
    }
}
