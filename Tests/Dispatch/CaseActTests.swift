import Foundation
import HTTPTypes
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("What dispatchers decide")
struct CaseActTests {
    private struct Scene: Sendable {
        var stage: Stage
        var caller: Caller
        var token: String

        func record(_ index: Int = 0) async throws -> CaseRecord { try await stage.cases()[index] }

        func act(_ name: String, _ record: CaseRecord, _ fields: String = "", version: Int? = nil) async throws
            -> Answer
        {
            try await caller.post(
                "/v1/cases/\(record.caseID)/\(name)", token,
                "{\(fields)\(fields.isEmpty ? "" : ",")\"reason\":\"because\"}", version: version ?? record.version)
        }
    }

    private func scene(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        try await Stage.with { stage in
            let token = try stage.token([.dispatcher])
            try await stage.serving { caller in
                try await body(Scene(stage: stage, caller: caller, token: token))
            }
        }
    }

    @Test("A decision needs the version that it rests on, and the present one")
    func versions() async throws {
        try await scene { scene in
            try await scene.stage.deliver([scene.stage.report()])
            let record = try await scene.record()
            let path = "/v1/cases/\(record.caseID)/close"
            let missing = try await scene.caller.post(path, scene.token, "{\"reason\":\"x\"}")
            #expect(missing.status == 428)
            let stale = try await scene.act("close", record, version: 99)
            #expect(stale.status == 412)
            #expect(stale.headers[.eTag] == "\"1\"")
            let closed = try await scene.act("close", record)
            #expect(closed.status == 200, "\(closed.text)")
            #expect(closed.string("state") == "closed")
            #expect(closed.headers[.eTag] == "\"2\"")
            #expect(try await scene.stage.waiting().isEmpty)
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.due") == 0)
        }
    }

    @Test("Merging moves the reports, and unmerging moves them back")
    func merge() async throws {
        try await scene { scene in
            let far = ClaimingTests.north(5_000)
            try await scene.stage.deliver([scene.stage.report(), scene.stage.report(device: "b")])
            try await scene.stage.deliver([scene.stage.report(at: far, emergency: true, severity: .high)])
            let target = try await scene.record(0)
            let source = try await scene.record(1)
            let merged = try await scene.act("merge", source, "\"into\":\"\(target.caseID)\"")
            #expect(merged.status == 200, "\(merged.text)")
            var cases = try await scene.stage.cases()
            #expect(cases.map(\.state) == [.filed, .merged])
            #expect(cases.map(\.reportCount) == [3, 0])
            // The emergency's target was raised first, and waits as one.
            #expect(cases[0].emergency)
            #expect(try await scene.stage.waiting().map(\.caseID) == [target.caseID])
            #expect(try await scene.stage.waiting().map(\.emergency) == [true])

            let unmerged = try await scene.act("unmerge", cases[1])
            #expect(unmerged.status == 200, "\(unmerged.text)")
            cases = try await scene.stage.cases()
            #expect(cases.map(\.state) == [.filed, .filed])
            #expect(cases.map(\.reportCount) == [2, 1])
            let sourceID = source.caseID
            #expect(
                try await scene.stage.count(
                    "SELECT count(*) FROM dispatch.report_state WHERE case_id = \(sourceID)") == 1)
        }
    }

    @Test("An emergency that takes in a worse one is as bad, in the queue and with its crew", arguments: [false, true])
    func mergeWorse(hasCrew: Bool) async throws {
        try await scene { scene in
            let stage = scene.stage
            try await stage.deliver([stage.report(emergency: true, severity: .raised)])
            let crew = hasCrew ? try await stage.crew() : nil
            #expect(try await stage.claiming.claimEmergencies() == (hasCrew ? 1 : 0))
            try await stage.deliver([
                stage.report(at: ClaimingTests.north(900), emergency: true, severity: .lifeAtRisk)
            ])
            let merged = try await scene.act(
                "merge", try await scene.record(1), "\"into\":\"\(try await scene.record(0).caseID)\"")
            #expect(merged.status == 200, "\(merged.text)")
            let waiting = try await stage.waiting()
            if let crew {
                #expect(waiting.isEmpty)
                #expect(try await stage.orders().map(\.severity) == [.lifeAtRisk])
                #expect(try await stage.slot(crew).job?.severity == .lifeAtRisk)
                // So nothing less severe takes the crew away.
                try await stage.deliver([stage.report(at: ClaimingTests.north(1_900), emergency: true, severity: .high)]
                )
                #expect(try await stage.claiming.claimEmergencies() == 0)
            } else {
                #expect(waiting.map(\.severity) == [.lifeAtRisk])
            }
        }
    }

    @Test("A dispatcher decides about a case that a lent crew holds, in the dispatcher's own district only")
    func lentCrew() async throws {
        try await scene { scene in
            let stage = scene.stage
            let crew = try await stage.crew(district: stage.otherDistrict)
            let now = stage.context.sources.now()
            try await stage.context.background.query(
                CrewRegister.lend(
                    crew, loan: UUID(), to: stage.district, home: stage.otherDistrict, since: now - .seconds(60),
                    until: now + .seconds(600), by: "test", reason: nil))
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            #expect(try await stage.claiming.claimEmergencies() == 1)
            let suspended = try await scene.act("suspend", try await scene.record())
            #expect(suspended.status == 200, "\(suspended.text)")
            #expect(try await stage.slot(crew).job == nil)
            let resumed = try await scene.act("resume", try await scene.record())
            #expect(resumed.status == 200, "\(resumed.text)")
            let given = try await scene.act("reassign", try await scene.record(), "\"crew_id\":\"\(crew)\"")
            #expect(given.status == 200, "\(given.text)")
            #expect(try await stage.slot(crew).job != nil)
            let elsewhere = try await scene.caller.post(
                "/v1/cases/\(try await scene.record().caseID)/close",
                try stage.token([.dispatcher], districts: [stage.otherDistrict]), "{\"reason\":\"x\"}",
                version: try await scene.record().version)
            #expect(elsewhere.status == 404)
        }
    }

    @Test("What was merged by mistake comes back with its clocks, and leaves the other's as they were")
    func unmergeClocks() async throws {
        try await scene { scene in
            let stage = scene.stage
            try await stage.deliver([stage.report()])
            try await stage.deliver([stage.report(at: ClaimingTests.north(5_000))])
            // The second is a day older than the first.
            try await stage.admin.run(
                """
                UPDATE dispatch.case_file SET opened_at = opened_at - interval '1 day',
                    respond_due = respond_due - interval '1 day', arrive_due = arrive_due - interval '1 day',
                    resolve_due = resolve_due - interval '1 day'
                WHERE lat > 22.56;
                UPDATE dispatch.report_state SET received_at = received_at - interval '1 day' WHERE lat > 22.56;
                """)
            let source = try await scene.record(0)
            let target = try await scene.record(1)
            let merged = try await scene.act("merge", source, "\"into\":\"\(target.caseID)\"")
            #expect(merged.status == 200, "\(merged.text)")
            var cases = try await stage.cases()
            #expect(cases.map(\.openedAt) == [source.openedAt, source.openedAt])
            try await stage.admin.run(
                "UPDATE dispatch.case_file SET closed_at = closed_at - interval '1 hour' WHERE state = 'merged'")
            let unmerged = try await scene.act(
                "unmerge", try #require(cases.first { $0.caseID == source.caseID }))
            #expect(unmerged.status == 200, "\(unmerged.text)")
            cases = try await stage.cases()
            let kept = try #require(cases.first { $0.caseID == target.caseID })
            #expect(kept.openedAt == target.openedAt)
            #expect(kept.times.due == target.times.due)
            let back = try #require(cases.first { $0.caseID == source.caseID })
            // Late since yesterday, and an hour in which nobody could have worked on it does not change that.
            #expect(back.respondDue == source.respondDue)
            #expect(back.pausedSeconds >= 3_600)
        }
    }

    @Test("A case that is closed or merged while it is suspended was not late for that")
    func closeSuspended() async throws {
        try await scene { scene in
            let stage = scene.stage
            try await stage.deliver([stage.report()])
            try await stage.deliver([stage.report(at: ClaimingTests.north(5_000))])
            for index in 0...1 { _ = try await scene.act("suspend", try await scene.record(index)) }
            try await stage.admin.run(
                """
                UPDATE dispatch.case_file SET opened_at = opened_at - interval '1 day',
                    suspended_at = suspended_at - interval '1 day', respond_due = respond_due - interval '1 day',
                    arrive_due = arrive_due - interval '1 day', resolve_due = resolve_due - interval '1 day'
                WHERE suspended_at IS NOT NULL
                """)
            let closed = try await scene.act("close", try await scene.record(0))
            #expect(closed.status == 200, "\(closed.text)")
            let record = try await scene.record(0)
            let resolved = try #require(record.resolvedAt)
            #expect(resolved <= (try #require(record.resolveDue)))
            #expect(TimelyHandling.verdict(of: record.snapshot) == .inTime)
        }
    }

    @Test("A case is merged neither into itself, nor across districts, nor into one that is over")
    func refusedMerges() async throws {
        try await scene { scene in
            let stage = scene.stage
            try await stage.deliver([stage.report()])
            try await stage.deliver([stage.report(at: ClaimingTests.north(2_000))])
            try await stage.deliver([stage.report(at: ClaimingTests.north(4_000), district: stage.otherDistrict)])
            let cases = try await stage.cases()
            let itself = try await scene.act("merge", cases[0], "\"into\":\"\(cases[0].caseID)\"")
            #expect(itself.status == 422)
            let elsewhere = try await scene.act("merge", cases[0], "\"into\":\"\(cases[2].caseID)\"")
            #expect(elsewhere.status == 422)
            _ = try await scene.act("reject", cases[1])
            let over = try await scene.act("merge", cases[0], "\"into\":\"\(cases[1].caseID)\"")
            #expect(over.status == 409)
            #expect(over.string("code") == "target_is_over")
        }
    }

    @Test("Suspending stops the clocks and takes the order back; resuming goes on with both")
    func suspend() async throws {
        try await scene { scene in
            let crew = try await scene.stage.crew()
            try await scene.stage.deliver([scene.stage.report(emergency: true, severity: .high)])
            try await scene.stage.claiming.claimEmergencies()
            let suspended = try await scene.act("suspend", try await scene.record())
            #expect(suspended.string("state") == "suspended", "\(suspended.text)")
            #expect(try await scene.stage.slot(crew).job == nil)
            #expect(try await scene.stage.orders().map(\.state) == [.withdrawn])
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.due") == 0)
            try await scene.stage.admin.run(
                "UPDATE dispatch.case_file SET suspended_at = suspended_at - interval '1 hour' WHERE suspended_at IS NOT NULL"
            )
            let before = try await scene.record()
            let resumed = try await scene.act("resume", before)
            #expect(resumed.string("state") == "filed", "\(resumed.text)")
            let record = try await scene.record()
            #expect(record.pausedSeconds >= 3_600)
            let gained = try #require(record.respondDue) - (try #require(before.respondDue))
            #expect(gained >= .seconds(3_600))
            #expect(try await scene.stage.waiting().count == 1)
        }
    }

    @Test("A started job refuses what would take it away, and says why", arguments: ["close", "reject", "suspend"])
    func started(act: String) async throws {
        try await scene { scene in
            let account = Account.ID(UUID())
            try await scene.stage.crew(account: account)
            try await scene.stage.deliver([scene.stage.report(emergency: true, severity: .high)])
            try await scene.stage.claiming.claimEmergencies()
            let order = try #require(try await scene.stage.orders().first)
            let token = try scene.stage.token([.crew], account: account)
            _ = try await scene.caller.post(
                "/v1/orders/\(order.orderID)/steps", token, Steps.body([Steps.step("en_route")]))
            let refused = try await scene.act(act, try await scene.record())
            #expect(refused.status == 409)
            #expect(refused.string("code") == "started_job_stays")
        }
    }

    @Test("Reassigning gives it to the named crew, or past the present one to the queue")
    func reassign() async throws {
        try await scene { scene in
            let near = try await scene.stage.crew("near")
            let far = try await scene.stage.crew("far", at: ClaimingTests.north(4_000))
            try await scene.stage.deliver([scene.stage.report(emergency: true, severity: .high)])
            try await scene.stage.claiming.claimEmergencies()
            let given = try await scene.act("reassign", try await scene.record(), "\"crew_id\":\"\(far)\"")
            #expect(given.string("crew_id") == "\(far)", "\(given.text)")
            #expect(try await scene.stage.slot(near).job == nil)
            #expect(try await scene.stage.slot(far).job != nil)
            let unknown = try await scene.act("reassign", try await scene.record(), "\"crew_id\":\"\(UUID())\"")
            #expect(unknown.status == 422)
            #expect(unknown.string("errors.0.field") == "crew_id")
            let queued = try await scene.act("reassign", try await scene.record())
            #expect(queued.string("state") == "filed", "\(queued.text)")
            #expect(try await scene.stage.waiting().first?.excluded == [far])
        }
    }

    @Test("Raising makes it an emergency in the lane; lowering is told there too")
    func priority() async throws {
        try await scene { scene in
            let account = Account.ID(UUID())
            let crew = try await scene.stage.crew(account: account)
            try await scene.stage.deliver([scene.stage.report()])
            try await scene.stage.claiming.claimRoutine(limit: 10)
            let raised = try await scene.act(
                "priority", try await scene.record(), "\"emergency\":true,\"severity\":5")
            #expect(raised["emergency"] == .bool(true), "\(raised.text)")
            #expect(try await scene.stage.claiming.claimEmergencies() == 1)
            #expect(try await scene.stage.slot(crew).job?.severity == .lifeAtRisk)
            let lowered = try await scene.act("priority", try await scene.record(), "\"emergency\":false")
            #expect(lowered["emergency"] == .bool(false), "\(lowered.text)")
            let slot = try await scene.stage.slot(crew)
            #expect(slot.job == nil)
            #expect(slot.listed == 1)
            let last = try await scene.stage.context.background.query(
                "SELECT lane FROM dispatch.history WHERE aggregate = 'case' ORDER BY version DESC LIMIT 1")
            #expect(try last[0].decode(0, as: String.self) == "e")
            let nothing = try await scene.act("priority", try await scene.record(), "\"emergency\":false")
            #expect(nothing.status == 409)
            // Its crew was bound by it before, and can begin it all the same.
            let order = try #require(try await scene.stage.orders().first { $0.state == .assigned })
            let begun = try await scene.caller.post(
                "/v1/orders/\(order.orderID)/steps", try scene.stage.token([.crew], account: account),
                Steps.body(["accept", "en_route"].map { Steps.step($0, basedOn: order.version) }))
            #expect(begun.string("order.state") == "en_route", "\(begun.text)")
        }
    }

    @Test("Verification closes or reopens; a reopened case waits for a crew again")
    func verify() async throws {
        try await scene { scene in
            let account = Account.ID(UUID())
            try await scene.stage.crew(account: account)
            try await scene.stage.deliver([scene.stage.report(emergency: true, severity: .high)])
            try await scene.stage.claiming.claimEmergencies()
            let order = try #require(try await scene.stage.orders().first)
            _ = try await scene.caller.post(
                "/v1/orders/\(order.orderID)/steps", try scene.stage.token([.crew], account: account),
                Steps.body([Steps.step("on_site"), Steps.step("done")]))
            let refuted = try await scene.act("verify", try await scene.record(), "\"passed\":false")
            #expect(refuted.string("state") == "reopened", "\(refuted.text)")
            #expect(try await scene.stage.claiming.claimEmergencies() == 1)
            let second = try await scene.stage.orders()[1]
            _ = try await scene.caller.post(
                "/v1/orders/\(second.orderID)/steps", try scene.stage.token([.crew], account: account),
                Steps.body([Steps.step("on_site"), Steps.step("done")]))
            let passed = try await scene.act("verify", try await scene.record(), "\"passed\":true")
            #expect(passed.string("state") == "closed", "\(passed.text)")
            let reopened = try await scene.act("reopen", try await scene.record())
            #expect(reopened.string("state") == "reopened")
        }
    }

    @Test("The case page has reports, orders, steps, decisions with reasons, and the timeline")
    func page() async throws {
        try await scene { scene in
            try await scene.stage.crew()
            try await scene.stage.deliver([scene.stage.report(emergency: true, severity: .high)])
            try await scene.stage.claiming.claimEmergencies()
            let record = try await scene.record()
            let answer = try await scene.caller.get("/v1/cases/\(record.caseID)", scene.token)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.headers[.eTag] == "\"\(record.version)\"")
            #expect(answer.items("reports").count == 1)
            #expect(answer.items("orders").count == 1)
            #expect(answer.items("decisions").count == 2)
            #expect(answer.string("decisions.0.reason.code") == "new_problem")
            #expect(answer.string("decisions.1.reason.en")?.isEmpty == false)
            #expect(answer.items("timeline").count == 2)
            #expect(answer.items("notices").isEmpty)
        }
    }

    @Test("Another district's case is neither listed, shown nor changed")
    func district() async throws {
        try await scene { scene in
            let stage = scene.stage
            try await stage.deliver([stage.report(district: stage.otherDistrict)])
            let record = try await scene.record()
            #expect(try await scene.caller.get("/v1/cases", scene.token).items().isEmpty)
            #expect(try await scene.caller.get("/v1/cases/\(record.caseID)", scene.token).status == 404)
            #expect(try await scene.act("close", record).status == 404)
            let named = try await scene.caller.get("/v1/cases?district=\(stage.otherDistrict)", scene.token)
            #expect(named.status == 403)
            #expect(named.string("errors.0.field") == "district")
            #expect(try await scene.record().version == 1)
            let crew = try await stage.crew(district: stage.otherDistrict)
            #expect(try await scene.caller.get("/v1/crews", scene.token).items().isEmpty)
            let lent = try await scene.caller.post(
                "/v1/crews/\(crew)/loans", scene.token,
                "{\"district_id\":\"\(stage.district)\",\"until\":\"\(stage.context.sources.now() + .seconds(600))\"}")
            #expect(lent.status == 404)
        }
    }
}
