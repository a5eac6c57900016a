import Foundation
import HTTPTypes
import HummingbirdTesting
import Model
import NIOCore
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("What crews observe without signal")
struct OfflineStepTests {
    /// A crew with two orders in its list, and its phone, whose clock is right and known to be.
    private struct Scene: Sendable {
        var stage: Stage
        var caller: Caller
        var crew: Crew.ID
        var token: String

        func ago(_ minutes: Int) -> Timestamp { stage.context.sources.now() - .seconds(minutes * 60) }

        func send(_ order: OrderRecord, _ steps: [(kind: String, minutesAgo: Int)]) async throws -> Answer {
            let body = Steps.body(
                steps.map { Steps.step($0.kind, at: ago($0.minutesAgo)) }, device: "phone", clock: ago(0))
            return try await caller.post("/v1/orders/\(order.orderID)/steps", token, body)
        }

        /// With the phone's clock in the header, beside the body's.
        func send(_ order: OrderRecord, _ body: String, key: String, clock: String) async throws -> Answer {
            var headers: HTTPFields = [.contentType: "application/json", .authorization: "Bearer \(token)"]
            headers[.idempotencyKey] = key
            headers[.sluiceDeviceClock] = clock
            return try await caller.client.execute(
                uri: "/v1/orders/\(order.orderID)/steps", method: .post, headers: headers,
                body: ByteBuffer(string: body)
            ) { try Answer($0) }
        }

        func showPosition() async throws {
            let body = """
                {"lon":114.05,"lat":22.55,"observed_at":"\(ago(0))","device":"phone","device_clock":"\(ago(0))"}
                """
            #expect(try await caller.post("/v1/crews/\(crew)/position", token, body).status == 204)
        }

        /// A whole job, from its beginning until it is done.
        func send(
            _ order: OrderRecord, from begun: Int, to done: Int, daysAgo days: Int = 0
        ) async throws -> Answer {
            let shift = days * 1_440
            return try await send(
                order, [("en_route", begun + shift), ("on_site", begun - 5 + shift), ("done", done + shift)])
        }
    }

    private func scene(
        days: Int = 0,
        _ body: @escaping @Sendable (Scene, _ first: OrderRecord, _ second: OrderRecord) async throws -> Void
    ) async throws {
        try await Stage.with { stage in
            let account = Account.ID(UUID())
            let crew = try await stage.crew(account: account)
            try await stage.deliver([stage.report(), stage.report(at: ClaimingTests.north(900))])
            try await stage.claiming.claimRoutine(limit: 10)
            try await stage.admin.run(
                """
                UPDATE dispatch.case_file SET opened_at = opened_at - interval '\(days + 1) days'
                WHERE category <> 'sentinel';
                UPDATE dispatch.work_order SET assigned_at = assigned_at - interval '\(days + 1) days',
                    last_step_at = last_step_at - interval '\(days + 1) days' WHERE crew_name <> 'sentinel';
                INSERT INTO dispatch.phone_clock (crew_id, device, district_id, offset_ms, synced_at, stable_since)
                VALUES ('\(crew)', 'phone', '\(stage.district)', 0, now(), now() - interval '\(days + 1) days');
                """)
            let orders = try await stage.orders()
            try #require(orders.count == 2)
            let token = try stage.token([.crew], account: account)
            try await stage.serving { caller in
                try await body(Scene(stage: stage, caller: caller, crew: crew, token: token), orders[0], orders[1])
            }
        }
    }

    private static func outcomes(_ answer: Answer) -> Set<String> {
        Set((0..<3).compactMap { answer.string("steps.\($0).outcome") })
    }

    private static let closedPeriods: SQL =
        "SELECT count(*) FROM dispatch.crew_period WHERE NOT isempty(period) AND NOT upper_inf(period)"

    @Test("A job that is told after the one that followed it is done like that one", arguments: [0, 4])
    func toldAfterTheNext(days: Int) async throws {
        try await scene(days: days) { scene, first, second in
            let later = try await scene.send(second, from: 110, to: 60, daysAgo: days)
            #expect(later.string("order.state") == "done", "\(later.text)")
            let earlier = try await scene.send(first, from: 175, to: 120, daysAgo: days)
            #expect(earlier.status == 200, "\(earlier.text)")
            #expect(earlier.string("order.state") == "done" && Self.outcomes(earlier) == ["applied"], "\(earlier.text)")
            #expect(earlier.string("steps.0.counted") == "observed")
            #expect(try await scene.stage.count(Self.closedPeriods) == 2)
            let slot = try await scene.stage.slot(scene.crew)
            #expect(slot.job == nil && slot.listed == 0)
        }
    }

    @Test("A job that was over before the present one began leaves the crew at the present one")
    func toldDuringTheNext() async throws {
        try await scene { scene, first, second in
            let later = try await scene.send(second, [("en_route", 110)])
            #expect(later.string("order.state") == "en_route", "\(later.text)")
            let earlier = try await scene.send(first, from: 175, to: 120)
            #expect(earlier.string("order.state") == "done" && Self.outcomes(earlier) == ["applied"], "\(earlier.text)")
            #expect(try await scene.stage.slot(scene.crew).job?.orderID == second.orderID)
            #expect(try await scene.stage.count(Self.closedPeriods) == 1)
            let done = try await scene.send(second, [("done", 60)])
            #expect(done.string("order.state") == "done", "\(done.text)")
            #expect(try await scene.stage.slot(scene.crew).job == nil)
        }
    }

    @Test("Jobs that overlap by their times stay contradicting, whichever is told first", arguments: [0, 4])
    func overlapping(days: Int) async throws {
        try await scene(days: days) { scene, first, second in
            _ = try await scene.send(second, from: 110, to: 60, daysAgo: days)
            let earlier = try await scene.send(first, from: 175, to: 100, daysAgo: days)
            #expect(earlier.status == 200, "\(earlier.text)")
            #expect(earlier.string("steps.0.reason.code") == "overlaps_other_job")
            #expect(earlier.string("order.state") == "assigned" && Self.outcomes(earlier) == ["contradicting"])
            #expect(try await scene.stage.count(Self.closedPeriods) == 1)
        }
    }

    @Test("What overlaps a job that the crew no longer sees is kept as contradicting, and the batch is taken")
    func overlappingUnseen() async throws {
        try await scene { scene, first, second in
            _ = try await scene.send(second, from: 110, to: 60)
            // As if that job had been in a district to which the crew was lent until then.
            try await scene.stage.admin.run(
                """
                UPDATE dispatch.crew_period SET district_id = '\(scene.stage.otherDistrict)'
                WHERE order_id = '\(second.orderID)'
                """)
            let answer = try await scene.send(first, from: 105, to: 70)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer.string("steps.0.reason.code") == "overlaps_other_job")
            #expect(answer.string("order.state") == "assigned" && Self.outcomes(answer) == ["contradicting"])
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.order_step") == 6)
        }
    }

    // MARK: - The phone's clock

    @Test("A clock that was set right between two batches dates none of the day's steps")
    func clockSetRight() async throws {
        try await scene { scene, first, second in
            // All day it was an hour slow.
            try await scene.stage.admin.run("UPDATE dispatch.phone_clock SET offset_ms = 3600000")
            let moved = try await scene.send(first, from: 175, to: 120)
            #expect(moved.string("steps.0.counted_reason") == "clock_was_changed", "\(moved.text)")
            let agreeing = try await scene.send(second, from: 110, to: 60)
            #expect(agreeing.string("steps.0.counted") == "received", "\(agreeing.text)")
            #expect(agreeing.string("steps.0.counted_reason") == "clock_was_unknown")
        }
    }

    @Test("Nor does a position that was sent before the steps", arguments: [true, false])
    func positionFirst(isFirstSync: Bool) async throws {
        try await scene { scene, first, _ in
            try await scene.stage.admin.run(
                isFirstSync
                    ? "DELETE FROM dispatch.phone_clock" : "UPDATE dispatch.phone_clock SET offset_ms = 3600000")
            try await scene.showPosition()
            let early = try await scene.send(first, [("accept", 30)])
            #expect(early.string("steps.0.counted_reason") == "clock_was_unknown", "\(early.text)")
            // What is noted from then on is dated by the clock as it is now.
            let present = try await scene.send(first, [("note", 0)])
            #expect(present.string("steps.0.counted") == "observed", "\(present.text)")
        }
    }

    @Test("A batch that is sent again as it was made is dated by the clock in its header")
    func sentAgain() async throws {
        try await scene { scene, first, second in
            for order in [first, second] {
                let made = Steps.body([Steps.step("note", at: scene.ago(40))], device: "phone", clock: scene.ago(31))
                let key = UUID().uuidString
                let answer = try await scene.send(order, made, key: key, clock: "\(scene.ago(0))")
                #expect(answer.string("steps.0.counted") == "observed", "\(answer.text)")
                // Another time in the header is no other request.
                let again = try await scene.send(order, made, key: key, clock: "\(scene.ago(-1))")
                #expect(again.status == 200 && again.text == answer.text)
            }
            for clock in ["noon", "\(scene.ago(600 * 1_440))"] {
                let refused = try await scene.send(
                    first, Steps.body([Steps.step("note")], device: "phone"), key: UUID().uuidString, clock: clock)
                #expect(refused.status == 422 && refused.string("errors.0.field") == "Sluice-Device-Clock")
            }
        }
    }
}
