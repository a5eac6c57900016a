import Foundation
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("What crews observe")
struct OrderStepTests {
    private struct Scene: Sendable {
        var stage: Stage
        var caller: Caller
        var crew: Crew.ID
        var account: Account.ID
        var token: String

        func now() -> Timestamp { stage.context.sources.now() }
        func order(_ index: Int = 0) async throws -> OrderRecord { try await stage.orders()[index] }

        func send(_ order: OrderRecord, _ body: String, key: String = UUID().uuidString) async throws -> Answer {
            try await caller.post("/v1/orders/\(order.orderID)/steps", token, body, key: key)
        }
    }

    /// A crew with one order for an emergency, and its phone.
    private func scene(
        emergency: Bool = true, _ body: @escaping @Sendable (Scene) async throws -> Void
    ) async throws {
        try await Stage.with { stage in
            let account = Account.ID(UUID())
            let crew = try await stage.crew(account: account)
            try await stage.deliver([stage.report(emergency: emergency, severity: emergency ? .high : .normal)])
            if emergency {
                try await stage.claiming.claimEmergencies()
            } else {
                try await stage.claiming.claimRoutine(limit: 10)
            }
            let token = try stage.token([.crew], account: account)
            try await stage.serving { caller in
                try await body(Scene(stage: stage, caller: caller, crew: crew, account: account, token: token))
            }
        }
    }

    @Test("Steps come late: after the order was taken back, and after the crew's loan to its district is over")
    func afterTheLoan() async throws {
        try await scene { scene in
            let order = try await scene.order()
            try await scene.stage.releases.silence(emergency: true, after: .zero)
            // As if it had been lent, and the loan were over: its home is elsewhere.
            for table in ["crew", "crew_slot", "crew_member", "crew_position"] {
                try await scene.stage.admin.run(
                    "UPDATE dispatch.\(table) SET district_id = '\(scene.stage.otherDistrict)' WHERE crew_id = '\(scene.crew)'"
                )
            }
            let answer = try await scene.send(order, Steps.body([Steps.step("accept"), Steps.step("note", note: "x")]))
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.items("steps").count == 2)
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.order_step") == 2)
            // Nobody else's order is shown that way.
            let stranger = try await scene.caller.post(
                "/v1/orders/\(UUID())/steps", scene.token, Steps.body([Steps.step("accept")]), key: UUID().uuidString)
            #expect(stranger.status == 404)
        }
    }

    @Test("A whole job in one batch: times, case, crew and clocks follow")
    func whole() async throws {
        try await scene { scene in
            let order = try await scene.order()
            let steps = ["accept", "en_route", "on_site", "done"].map { Steps.step($0) }
            let answer = try await scene.send(order, Steps.body(steps))
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.string("order.state") == "done")
            #expect(answer.items("steps").count == 4)
            let record = try #require(try await scene.stage.cases().first)
            #expect(record.state == .verification)
            #expect(record.respondedAt != nil && record.arrivedAt != nil && record.resolvedAt != nil)
            #expect(record.orderID == nil)
            #expect(try await scene.stage.slot(scene.crew).job == nil)
            #expect(
                try await scene.stage.count("SELECT count(*) FROM dispatch.crew_period WHERE upper_inf(period)") == 0)
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.due") == 0)
            #expect(
                try await scene.stage.count("SELECT count(*) FROM dispatch.history WHERE type = 'order.completed.v1'")
                    == 1)
        }
    }

    @Test("The same batch under the same key is answered alike; the same steps under a new key are replays")
    func replay() async throws {
        try await scene { scene in
            let order = try await scene.order()
            let body = Steps.body([Steps.step("accept")])
            let first = try await scene.send(order, body, key: "key-number-1")
            let again = try await scene.send(order, body, key: "key-number-1")
            #expect(first.status == 200 && again.text == first.text)
            let other = try await scene.send(order, body, key: "key-number-2")
            #expect(other["steps.0.replayed"] == .bool(true))
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.order_step") == 1)
            let mismatch = try await scene.send(order, Steps.body([Steps.step("done")]), key: "key-number-1")
            #expect(mismatch.status == 422)
        }
    }

    @Test("A step behind the order's state is kept as late, and tells the time that was missing")
    func late() async throws {
        try await scene { scene in
            let order = try await scene.order()
            _ = try await scene.send(order, Steps.body([Steps.step("on_site")]))
            let answer = try await scene.send(order, Steps.body([Steps.step("accept")]))
            #expect(answer["steps.0.outcome"] == .string("late"))
            #expect(try await scene.order().acceptedAt != nil)
            #expect(try await scene.order().state == .onSite)
        }
    }

    @Test("Steps of an order that was taken back are kept as contradicting, and change nothing")
    func contradicting() async throws {
        try await scene { scene in
            let order = try await scene.order()
            try await scene.stage.releases.silence(emergency: true, after: .zero)
            let answer = try await scene.send(order, Steps.body([Steps.step("en_route"), Steps.step("done")]))
            #expect(answer.status == 200)
            #expect(answer["steps.0.outcome"] == .string("contradicting"))
            #expect(answer["steps.1.outcome"] == .string("contradicting"))
            #expect(try await scene.order().state == .silent)
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.order_step") == 2)
        }
    }

    @Test("A start that overlaps another job of the crew is kept as contradicting")
    func overlapping() async throws {
        try await scene(emergency: false) { scene in
            let routine = try await scene.order()
            try await scene.stage.deliver([
                scene.stage.report(at: ClaimingTests.north(900), emergency: true, severity: .high)
            ])
            try await scene.stage.claiming.claimEmergencies()
            let answer = try await scene.send(routine, Steps.body([Steps.step("en_route")]))
            #expect(answer["steps.0.outcome"] == .string("contradicting"))
            #expect(answer.string("steps.0.reason.code") == "overlaps_other_job")
            #expect(try await scene.order().state == .assigned)
        }
    }

    @Test("What a phone noted since its first sync counts, and withdraws an overdue mark that it disproves")
    func times() async throws {
        try await scene { scene in
            let order = try await scene.order()
            let stage = scene.stage
            // As if all of it had happened half an hour earlier.
            try await stage.admin.run(
                """
                UPDATE dispatch.case_file SET opened_at = opened_at - interval '30 minutes',
                    respond_due = respond_due - interval '30 minutes' WHERE category <> 'sentinel';
                UPDATE dispatch.work_order SET assigned_at = assigned_at - interval '30 minutes',
                    last_step_at = last_step_at - interval '30 minutes' WHERE crew_name <> 'sentinel';
                UPDATE dispatch.due SET due_at = due_at - interval '30 minutes';
                """)
            try await stage.clocks.markOverdue(limit: 10)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.overdue_mark WHERE withdrawn_at IS NULL") == 1)
            let note = Steps.step("note", note: "on our way")
            let first = try await scene.send(order, Steps.body([note], device: "phone", clock: scene.now()))
            #expect(first.string("steps.0.counted_reason") == "first_sync")
            let early = Steps.step("note", at: scene.now() - .seconds(25 * 60), note: "before that sync")
            let unknown = try await scene.send(order, Steps.body([early], device: "phone", clock: scene.now()))
            #expect(unknown.string("steps.0.counted_reason") == "clock_was_unknown", "\(unknown.text)")
            // As if that sync had been in the morning.
            try await stage.admin.run(
                "UPDATE dispatch.phone_clock SET stable_since = stable_since - interval '6 hours'")
            let at = scene.now() - .seconds(25 * 60)
            let answer = try await scene.send(
                order, Steps.body([Steps.step("accept", at: at)], device: "phone", clock: scene.now()))
            #expect(answer.string("steps.0.counted") == "observed", "\(answer.text)")
            #expect(try await stage.count("SELECT count(*) FROM dispatch.overdue_mark WHERE withdrawn_at IS NULL") == 0)
            let why = try await stage.count(
                "SELECT count(*) FROM dispatch.decision WHERE reason_code = 'late_observation_respond'")
            #expect(why == 1)
        }
    }

    @Test("Declining needs a reason, frees the crew and passes it over")
    func decline() async throws {
        try await scene { scene in
            let order = try await scene.order()
            let bare = try await scene.send(order, Steps.body([Steps.step("decline")]))
            #expect(bare.status == 422)
            #expect(bare.string("errors.0.field") == "steps[0].note")
            let answer = try await scene.send(order, Steps.body([Steps.step("decline", note: "pump is broken")]))
            #expect(answer.string("order.state") == "declined")
            #expect(try await scene.stage.slot(scene.crew).job == nil)
            let waiting = try #require(try await scene.stage.waiting().first)
            #expect(waiting.excluded == [scene.crew])
            #expect(try await scene.stage.claiming.claimEmergencies() == 0)
        }
    }

    @Test("A shift ends with what was not started back in the queue; a started job keeps it open")
    func shift() async throws {
        try await scene { scene in
            let order = try await scene.order()
            let shift = Shift.ID(UUID())
            let crew = scene.crew
            try await scene.stage.context.background.segment([
                """
                INSERT INTO dispatch.shift (shift_id, crew_id, district_id, account_id, started_at)
                VALUES (\(shift), \(crew), \(scene.stage.district), \(scene.account), \(scene.now()))
                """,
                "UPDATE dispatch.crew_slot SET shift_id = \(shift) WHERE crew_id = \(crew)",
            ])
            _ = try await scene.send(order, Steps.body([Steps.step("en_route")]))
            let refused = try await scene.caller.post("/v1/shifts/\(shift)/end", scene.token, "{}")
            #expect(refused.status == 409)
            #expect(refused.string("code") == "job_is_started")
            _ = try await scene.send(order, Steps.body([Steps.step("done")]))
            let ended = try await scene.caller.post("/v1/shifts/\(shift)/end", scene.token, "{}")
            #expect(ended.status == 200, "\(ended.text)")
            #expect(try await scene.stage.slot(crew).shiftID == nil)
            let again = try await scene.caller.post("/v1/shifts", scene.token, "{\"lon\":114.06,\"lat\":22.56}")
            #expect(again.status == 201, "\(again.text)")
            let twice = try await scene.caller.post("/v1/shifts", scene.token, "{}")
            #expect(twice.status == 409)
        }
    }

    @Test("A crew sees and touches its own orders only")
    func scope() async throws {
        try await scene { scene in
            let order = try await scene.order()
            let stranger = Account.ID(UUID())
            try await scene.stage.crew("other", account: stranger)
            let token = try scene.stage.token([.crew], account: stranger)
            let steps = try await scene.caller.post(
                "/v1/orders/\(order.orderID)/steps", token, Steps.body([Steps.step("accept")]))
            #expect(steps.status == 404)
            #expect(try await scene.caller.get("/v1/orders/\(order.orderID)", token).status == 404)
            #expect(try await scene.caller.get("/v1/cases/\(order.caseID)", token).status == 404)
            #expect(try await scene.caller.get("/v1/orders", token).items().isEmpty)
            #expect(try await scene.caller.get("/v1/orders?open=true", scene.token).items().count == 1)
            #expect(try await scene.caller.get("/v1/cases/\(order.caseID)", scene.token).status == 200)
            // An account that says crew and belongs to none.
            let nobody = try scene.stage.token([.crew])
            #expect(try await scene.caller.get("/v1/orders", nobody).status == 403)
        }
    }

    @Test("The last observed position wins, whatever order they come in")
    func position() async throws {
        try await scene { scene in
            func send(_ lon: Double, _ secondsAgo: Int) async throws -> Int {
                let body = "{\"lon\":\(lon),\"lat\":22.5,\"observed_at\":\"\(scene.now() - .seconds(secondsAgo))\"}"
                return try await scene.caller.post("/v1/crews/\(scene.crew)/position", scene.token, body).status
            }
            #expect(try await send(114.2, 0) == 204)
            #expect(try await send(114.1, 60) == 204)
            let crew = scene.crew
            let lon = try await scene.stage.context.background.query(
                "SELECT lon FROM dispatch.crew_position WHERE crew_id = \(crew)")[0].decode(0, as: Double.self)
            #expect(lon == 114.2)
            let bad = try await scene.caller.post(
                "/v1/crews/\(scene.crew)/position", scene.token,
                "{\"lon\":914.2,\"lat\":22.5,\"observed_at\":\"\(scene.now())\"}")
            #expect(bad.status == 422)
            #expect(bad.string("errors.0.field") == "lon")
        }
    }
}
