import Foundation
import HTTPTypes
import Model
import Outbox
import Postgres
import PrivateServers
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("The canary's rounds in dispatch")
struct CanaryTests {
    /// What intake posts, filed here.
    private static func round(_ stage: Stage) async throws {
        let now = stage.context.sources.now()
        let report = ReportSnapshot(
            reportID: Report.ID(stage.context.sources.randomUUID(now)), districtID: District.canary, kind: .hazard,
            category: "canary", channel: .system, emergency: true, severity: .lowest,
            place: Coordinate(lon: 0, lat: 0), receivedAt: now, observedAt: now, ruleVersion: 1, ruleReason: "test")
        var event = try stage.event(report)
        event.canary = true
        try await stage.deliver([event], by: stage.service.triage(.emergency))
    }

    private static func rows(_ stage: Stage, _ table: String, _ condition: String = "true") async throws -> Int {
        let rows = try await stage.admin.rows(
            "SELECT count(*) FROM dispatch.\(table) WHERE district_id = sluice.canary() AND (\(condition))")
        return Int(rows[0][0] ?? "") ?? -1
    }

    @Test("A round opens a case of its own, its crew takes it, and the crew is free for the next at once")
    func rounds() async throws {
        try await Stage.with { stage in
            for _ in 0..<3 {
                try await Self.round(stage)
                #expect(try await Self.rows(stage, "claim_queue") == 1)
                #expect(try await stage.claiming.claimEmergencies() == 0, "none that somebody sent")
                #expect(try await Self.rows(stage, "claim_queue") == 0)
            }
            #expect(try await Self.rows(stage, "case_file", "canary AND state = 'closed' AND report_count = 1") == 3)
            #expect(try await Self.rows(stage, "work_order", "canary AND state = 'done'") == 3)
            #expect(try await Self.rows(stage, "crew_period", "upper_inf(period)") == 0)
            #expect(try await Self.rows(stage, "crew_slot", "active_order IS NULL AND shift_id IS NOT NULL") == 1)
            #expect(try await Self.rows(stage, "due") == 0)
            #expect(try await Self.rows(stage, "emergency_outbox", "canary") == 9)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.live_event") == 0)
        }
    }

    @Test("A round that another instance left open is ended with the next")
    func leftOpen() async throws {
        try await Stage.with { stage in
            try await Self.round(stage)
            try await stage.claiming.claimEmergencies()
            // As after a death between the claim and the end.
            try await Self.round(stage)
            try await stage.claiming.claimEmergencies()
            #expect(try await Self.rows(stage, "work_order", "released_at IS NULL") == 0)
        }
    }

    @Test("When claims were late, the oldest round says so and the others of that time are ended with it")
    func backlog() async throws {
        try await Stage.with { stage in
            for _ in 0..<5 { try await Self.round(stage) }
            try await stage.admin.run(
                "UPDATE dispatch.claim_queue SET since = since - interval '3 seconds' WHERE canary")
            try await Self.round(stage)
            try await stage.claiming.claimEmergencies()
            #expect(try await Self.rows(stage, "claim_queue") == 1, "the young one")
            #expect(try await Self.rows(stage, "case_file", "state = 'closed'") == 5)
            #expect(try await Self.rows(stage, "work_order") == 1)
        }
    }

    @Test("Emergencies never wait behind rounds, nor get the canary's crew; rounds get nobody else's")
    func apart() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            for _ in 0..<3 { try await Self.round(stage) }
            try await stage.deliver([stage.report(emergency: true, severity: .raised)])
            try await stage.deliver([
                stage.report(at: ClaimingTests.north(5_000), emergency: true, severity: .raised)
            ])
            #expect(try await stage.claiming.claimEmergencies() == 1)
            let orders = try await stage.orders()
            #expect(orders.filter { $0.crewID == crew }.map(\.canary) == [false])
            #expect(orders.filter { $0.crewID == Crew.canary }.map(\.canary) == [true])
            #expect(try await stage.waiting().filter { !$0.canary }.count == 1)
        }
    }

    @Test("Without emergencies the pressure is the canary's, and the metrics show its steps")
    func pressure() async throws {
        try await Stage.with(["SLUICE_DISPATCH_LANE_CALM_MS": "10", "SLUICE_DISPATCH_LANE_BOUND_MS": "110"]) { stage in
            let writer = LaneSignalWriter(
                database: stage.context.lane, meter: stage.service.meter, instance: "test",
                bounds: stage.service.settings.pressure, interval: .seconds(1), logger: stage.context.logger)
            func check(_ wanted: [Double?], _ place: SourceLocation = #_sourceLocation) async throws {
                try await writer.write()
                let row = try await stage.context.lane.query(
                    "SELECT pressure, worst_ms, canary_ms FROM dispatch.lane_signal WHERE instance = 'test'")[0]
                let found: [Double?] = [
                    try row.decode(0), try row.decode(1), try row.decode(2, as: Double?.self),
                ]
                #expect(found == wanted, sourceLocation: place)
            }
            try await check([0, 0, nil])
            stage.service.meter.record(filed: .milliseconds(60), canary: true)
            try await check([0.5, 0, 60])
            // The slower of the last two steps; an older one is past.
            stage.service.meter.record(claimed: .milliseconds(85), canary: true)
            try await check([0.75, 0, 85])
            stage.service.meter.record(claimed: .milliseconds(5), canary: true)
            stage.service.meter.record(filed: .milliseconds(5), canary: true)
            try await check([0, 0, 5])
            // And a real emergency counts as before.
            stage.service.meter.record(filed: .milliseconds(110))
            try await check([1, 110, 5])
        }
    }

    @Test("What an inbox has is no longer waiting, though its row is not marked yet")
    func arrived() async throws {
        try await Stage.with { stage in
            let event = UUID()
            try await stage.admin.run(
                """
                INSERT INTO intake.emergency_outbox (id, district_id, type, consumers, created_at, body)
                VALUES ('\(event)', '\(stage.district.rawValue)', 'report.received.v1', '{dispatch.emergency}',
                        clock_timestamp() - interval '1 minute', '{}')
                """)
            func oldest() async throws -> Double? {
                try await stage.context.lane.query(SignalStore.oldestWaiting)[0].decode(0, as: Double?.self)
            }
            #expect(try await oldest() ?? 0 >= 60_000)
            try await stage.admin.run(
                """
                INSERT INTO dispatch.inbox (consumer, source, event_id)
                VALUES ('dispatch.emergency', 'intake', '\(event)')
                """)
            #expect(try await oldest() == nil)
        }
    }

    @Test("Nobody sees a round in any list, whatever their scope, nor the category or the crew")
    func hidden() async throws {
        try await Stage.with { stage in
            try await Self.round(stage)
            try await stage.claiming.claimEmergencies()
            let admin = try stage.token([.admin, .dispatcher, .manager, .system], districts: nil, everything: true)
            try await stage.serving { caller in
                for path in ["/v1/cases", "/v1/orders", "/v1/crews"] {
                    let answer = try await caller.get(path, admin)
                    #expect(answer.status == 200, "\(path)")
                    #expect(answer.items().isEmpty, "\(path)")
                }
                let categories = try await caller.get("/v1/categories", admin)
                #expect(!categories.items().isEmpty)
                #expect(!categories.text.contains("canary"))
                let crew = try await caller.get("/v1/crews/\(Crew.canary)", admin)
                #expect(crew.status == 404 || crew.status == 405)
                let change = try await caller.change(.put, "/v1/categories/canary", admin, "{}", version: 1)
                #expect(change.status == 404)
                let scaling = try await caller.get("/v1/scaling", admin)
                #expect(scaling.status == 200)
            }
            let numbers = try await stage.admin.rows("SELECT number FROM dispatch.case_file WHERE canary")
            #expect(numbers == [["-1"]], "people's numbers have no gaps")
        }
    }

    @Test("The purge leaves nothing of the rounds and everything of the others")
    func purge() async throws {
        try await Stage.with { stage in
            try await stage.crew()
            try await stage.deliver([stage.report(emergency: true, severity: .raised)])
            for _ in 0..<2 {
                try await Self.round(stage)
                try await stage.claiming.claimEmergencies()
            }
            // One that nobody claimed, and one whose crew was never freed.
            try await Self.round(stage)
            let purge: SQL = "SELECT dispatch.purge_canaries(clock_timestamp() + interval '10 minutes')"
            #expect(try await stage.context.background.query(purge)[0].decode(0, as: Int.self) == 3)
            for table in [
                "case_file", "report_state", "work_order", "crew_period", "claim_queue", "due", "decision", "history",
            ] {
                #expect(try await Self.rows(stage, table) == 0, "\(table)")
            }
            #expect(try await Self.rows(stage, "crew", "canary") == 1)
            #expect(try await stage.cases().count == 1)
            #expect(try await stage.orders().count == 1)
            try await Self.round(stage)
            try await stage.claiming.claimEmergencies()
            #expect(try await Self.rows(stage, "work_order", "state = 'done'") == 1)
        }
    }
}
