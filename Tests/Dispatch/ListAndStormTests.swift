import Foundation
import HTTPTypes
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("Lists, crews, categories, storm")
struct ListAndStormTests {
    @Test("A crew's open orders come in the order of travel, from where it is now")
    func travel() async throws {
        try await Stage.with { stage in
            let account = Account.ID(UUID())
            let crew = try await stage.crew(account: account)
            for metres in [3_000.0, 500, 1_500] {
                try await stage.deliver([stage.report("blockage", at: ClaimingTests.north(metres))])
            }
            #expect(try await stage.claiming.claimRoutine(limit: 10) == 3)
            let token = try stage.token([.crew], account: account)
            try await stage.serving { caller in
                func way() async throws -> [Int] {
                    let answer = try await caller.get("/v1/orders?open=true", token)
                    return (0..<answer.items().count).compactMap { index in
                        guard case .number(let lat) = answer["items.\(index).lat"] else { return nil }
                        return Int(((lat - Stage.here.lat) * 111_195).rounded())
                    }
                }
                #expect(try await way() == [500, 1_500, 3_000])
                try await stage.admin.run(
                    "UPDATE dispatch.crew_position SET lat = lat + 2500 / 111195.0 WHERE crew_id = '\(crew)'")
                #expect(try await way() == [3_000, 1_500, 500])
            }
        }
    }

    @Test("The list is paged by cursors without gap or repetition, and filtered")
    func list() async throws {
        try await Stage.with { stage in
            for index in 0..<7 {
                try await stage.deliver([
                    stage.report(at: ClaimingTests.north(Double(index) * 300), emergency: index == 3, severity: .high)
                ])
            }
            let token = try stage.token([.dispatcher], districts: [stage.district, stage.otherDistrict])
            try await stage.serving { caller in
                var seen: [String] = []
                var next: String? = ""
                while let cursor = next {
                    let answer = try await caller.get(
                        "/v1/cases?limit=3" + (cursor.isEmpty ? "" : "&cursor=\(cursor)"), token)
                    #expect(answer.status == 200, "\(answer.text)")
                    for index in answer.items().indices { seen.append(answer.string("items.\(index).case_id") ?? "") }
                    next = answer.string("next")
                }
                #expect(seen.count == 7)
                #expect(Set(seen).count == 7)
                func count(_ filter: String) async throws -> Int {
                    let answer = try await caller.get("/v1/cases?\(filter)", token)
                    #expect(answer.status == 200, "\(answer.text)")
                    return answer.items().count
                }
                #expect(try await count("emergency=true") == 1)
                #expect(try await count("emergency=false") == 6)
                #expect(try await count("state=filed,closed") == 7)
                #expect(try await count("state=closed") == 0)
                #expect(try await count("overdue=true") == 0)
                #expect(try await count("overdue=false") == 7)
                #expect(try await count("category=blockage") == 0)
                #expect(try await count("bbox=114.0,22.5,114.1,22.5505") == 1)
                #expect(try await count("since=2000-01-01T00:00:00Z") == 7)
                #expect(try await count("district=\(stage.otherDistrict)") == 0)
                for bad in [
                    "state=x", "emergency=1", "bbox=1,2,3", "bbox=9,9,1,1", "since=now", "limit=0", "cursor=zz",
                ] {
                    let answer = try await caller.get("/v1/cases?\(bad)", token)
                    #expect(answer.status == 422, "\(bad)")
                    #expect(answer.string("errors.0.field") == String(bad.prefix { $0 != "=" }))
                }
                #expect(try await caller.get("/v1/cases", nil).status == 401)
                #expect(try await caller.get("/v1/cases", try stage.token([.resident])).status == 403)
                let city = try stage.token([.dispatcher])
                #expect(try await caller.get("/v1/cases?limit=2", city).items().count == 2)
            }
        }
    }

    @Test("A storm level sets the open clocks anew, and lowering it sets them back")
    func storm() async throws {
        try await Stage.with { stage in
            try await stage.deliver([stage.report()])
            let token = try stage.token([.dispatcher])
            let path = "/v1/storm?district=\(stage.district)"
            try await stage.serving { caller in
                let none = try await caller.get(path, token)
                #expect(none.string("level") == "none")
                #expect(none.headers[.eTag] == "\"0\"")
                #expect(try await caller.change(.put, path, token, "{\"level\":\"red\"}", version: nil).status == 428)
                #expect(try await caller.change(.put, path, token, "{\"level\":\"red\"}", version: 3).status == 412)
                let red = try await caller.change(.put, path, token, "{\"level\":\"red\"}", version: 0)
                #expect(red.status == 200, "\(red.text)")
                try await stage.clocks.followStorm()
                var record = try #require(try await stage.cases().first)
                #expect(record.respondDue == record.openedAt + .seconds(1_200))
                #expect(record.clockLevel == .red)
                // New cases start with the level that is in force.
                try await stage.deliver([stage.report(at: ClaimingTests.north(3_000))])
                #expect(try await stage.cases()[1].clockLevel == .red)
                _ = try await caller.change(.put, path, token, "{\"level\":\"none\"}", version: 1)
                try await stage.clocks.followStorm()
                record = try #require(try await stage.cases().first)
                #expect(record.respondDue == record.openedAt + .seconds(600))
                let unknown = try await caller.change(.put, path, token, "{\"level\":\"pink\"}", version: 2)
                #expect(unknown.status == 422)
                let elsewhere = try await caller.change(
                    .put, "/v1/storm?district=\(stage.otherDistrict)", token, "{\"level\":\"red\"}", version: 0)
                #expect(elsewhere.status == 403)
            }
        }
    }

    @Test("A clock that runs out is marked once, announced, and leaves the next one due")
    func overdue() async throws {
        try await Stage.with { stage in
            try await stage.deliver([stage.report()])
            try await stage.admin.run(
                """
                UPDATE dispatch.case_file SET respond_due = now() - interval '1 minute' WHERE category <> 'sentinel';
                UPDATE dispatch.due SET due_at = now() - interval '1 minute';
                """)
            #expect(try await stage.clocks.markOverdue(limit: 10) == 1)
            #expect(try await stage.clocks.markOverdue(limit: 10) == 0)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.overdue_mark") == 1)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.history WHERE type = 'case.overdue.v1'") == 1)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.due WHERE clock = 'arrive'") == 1)
            let token = try stage.token([.manager])
            try await stage.serving { caller in
                let answer = try await caller.get("/v1/cases?overdue=true", token)
                #expect(answer.string("items.0.overdue.0") == "respond")
                #expect(answer.string("items.0.timeliness") == "late")
            }
        }
    }

    @Test("A clock that ran out just before some other change of the case is marked all the same")
    func overdueBesideChange() async throws {
        try await Stage.with { stage in
            try await stage.deliver([stage.report()])
            try await stage.admin.run(
                """
                UPDATE dispatch.case_file SET respond_due = now() - interval '1 second' WHERE category = 'flooding';
                UPDATE dispatch.due SET due_at = now() - interval '1 second';
                """)
            try await stage.deliver([stage.report(device: "b")])
            #expect(try await stage.cases().map(\.reportCount) == [2])
            #expect(try await stage.clocks.markOverdue(limit: 100) == 1)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.overdue_mark") == 1)
            // And a change after the mark brings no second one.
            try await stage.deliver([stage.report(device: "c")])
            try await stage.clocks.markOverdue(limit: 100)
            #expect(try await stage.clocks.markOverdue(limit: 100) == 0)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.overdue_mark") == 1)
        }
    }

    @Test("Crews are made, changed by version, lent and listed")
    func crews() async throws {
        try await Stage.with { stage in
            let token = try stage.token([.dispatcher])
            try await stage.serving { caller in
                let body = """
                    {"district_id":"\(stage.district)","name":"抢险一班","skills":["pump"],"depot_lon":114.0,\
                    "depot_lat":22.5,"members":["\(UUID())"]}
                    """
                let made = try await caller.post("/v1/crews", token, body)
                #expect(made.status == 201, "\(made.text)")
                let path = "/v1/crews/\(made.string("crew_id") ?? "")"
                let changed = try await caller.change(.patch, path, token, "{\"list_limit\":20}", version: 1)
                #expect(changed.integer("list_limit") == 20, "\(changed.text)")
                #expect(try await caller.change(.patch, path, token, "{\"name\":\"x\"}", version: 1).status == 412)
                let bad = try await caller.change(
                    .patch, path, token, "{\"skills\":[\"Not a word\"],\"list_limit\":0}", version: 2)
                #expect(bad.status == 422)
                #expect(bad.items("errors").count == 2)
                let until = stage.context.sources.now() + .seconds(3_600)
                let lent = try await caller.post(
                    path + "/loans", token, "{\"district_id\":\"\(stage.otherDistrict)\",\"until\":\"\(until)\"}")
                #expect(lent.string("lent_to.0") == "\(stage.otherDistrict)", "\(lent.text)")
                let home = try await caller.post(
                    path + "/loans", token, "{\"district_id\":\"\(stage.district)\",\"until\":\"\(until)\"}")
                #expect(home.status == 422)
                #expect(try await caller.get("/v1/crews?on_shift=false", token).items().count == 1)
                #expect(try await caller.get("/v1/crews?on_shift=true", token).items().isEmpty)
            }
        }
    }

    @Test("Categories are read by anyone and changed by an administrator, each change a new version")
    func categories() async throws {
        try await Stage.with { stage in
            try await stage.serving { caller in
                let list = try await caller.get("/v1/categories", nil)
                #expect(list.items().count == 2)
                let body = """
                    {"active":true,"kind":"hazard","category_group":"cover","name_zh":"井盖","name_en":"Cover",\
                    "severity":4,"emergency_words":["坑"],"emergency_places":[],"always_emergency":true,\
                    "merge_radius_m":20,"merge_window_min":600,"skills":["cover"],"respond_min":5,"arrive_min":20,\
                    "resolve_min":120,"storm_respond_min":5,"storm_arrive_min":20,"storm_resolve_min":120}
                    """
                let path = "/v1/categories/missing_cover"
                let admin = try stage.token([.admin])
                let dispatcher = try stage.token([.dispatcher])
                #expect(try await caller.change(.put, path, dispatcher, body, version: 0).status == 403)
                let made = try await caller.change(.put, path, admin, body, version: 0)
                #expect(made.integer("version") == 1, "\(made.text)")
                let again = try await caller.change(.put, path, admin, body, version: 1)
                #expect(again.integer("version") == 2)
                #expect(try await caller.change(.put, path, admin, body, version: 1).status == 412)
                #expect(
                    try await stage.count(
                        "SELECT count(*) FROM dispatch.category_version WHERE code = 'missing_cover'") == 2)
                #expect(stage.service.categories.terms("missing_cover")?.version == 2)
                let wrong = body.replacingOccurrences(of: "\"severity\":4", with: "\"severity\":9")
                let bad = try await caller.change(.put, path, admin, wrong, version: 2)
                #expect(bad.status == 422)
                #expect(bad.string("errors.0.field") == "severity")
            }
        }
    }

    @Test("Every route is described, and every description has a route")
    func document() async throws {
        try await Stage.with { stage in
            let (router, document) = stage.service.routes()
            #expect(document.differences(from: router) == [])
        }
    }
}
