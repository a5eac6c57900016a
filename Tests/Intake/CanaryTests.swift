import Foundation
import Model
import Outbox
import Postgres
import PrivateServers
import Testing

@testable import IntakeService
@testable import ServiceKit

@Suite("The canary, as intake posts it", .timeLimit(.minutes(5)))
struct CanaryTests {
    private static func with(
        _ rate: String? = nil, _ body: @Sendable (ServiceStage) async throws -> Void
    ) async throws {
        var settings = ["SLUICE_ATTACHMENTS_DIR": FileManager.default.temporaryDirectory.path]
        settings["SLUICE_CANARY_RATE"] = rate
        try await ServiceStage.with(.intake, settings, body)
    }

    private static func canary(_ stage: ServiceStage) throws -> Canary {
        Canary(
            rate: 10, budget: try IntakeSettings(stage.context.configuration).budget, database: stage.context.lane,
            messaging: stage.context.messaging, logger: stage.context.logger)
    }

    private static func number(_ stage: ServiceStage, _ sql: String) async throws -> Int {
        let rows = try await stage.admin.rows(sql)
        return Int(try #require(rows.first?[0])) ?? -1
    }

    @Test("a round is an emergency in rows of its own, with everything that a person's would have")
    func round() async throws {
        try await Self.with { stage in
            try await Self.canary(stage).post()
            for (table, condition) in [
                ("intake.report", "district_id = sluice.canary() AND emergency AND severity = 1"),
                ("intake.tracking", "report_district = sluice.canary()"),
                ("intake.history", "canary AND lane = 'e' AND district_id = sluice.canary()"),
                ("intake.emergency_outbox", "canary AND consumers = '{dispatch.emergency}'"),
                ("intake.sender_level", "level = 1"),
            ] {
                #expect(
                    try await Self.number(stage, "SELECT count(*) FROM \(table) WHERE \(condition)") == 1, "\(table)")
            }
            let body = try #require(try await stage.admin.rows("SELECT body FROM intake.emergency_outbox").first?[0])
            let event = try Event(structuredJSON: Array(body.utf8))
            #expect(event.canary)
            #expect(try event.body(as: ReportSnapshot.self).category == "canary")
        }
    }

    @Test("one instance has the lease; another takes it when the holder is silent or leaves")
    func lease() async throws {
        try await Self.with { stage in
            let store = CanaryStore(database: stage.context.lane)
            let (first, second) = (UUID(), UUID())
            #expect(try await store.takeTurn(first).isOurs)
            #expect(try await !store.takeTurn(second).isOurs)
            #expect(try await store.takeTurn(first).isOurs)
            try await stage.admin.run("UPDATE intake.task_lease SET until = clock_timestamp() - interval '1 ms'")
            #expect(try await store.takeTurn(second).isOurs)
            #expect(try await !store.takeTurn(first).isOurs)
            try await store.endTurn(second)
            #expect(try await store.takeTurn(first).isOurs)
        }
    }

    @Test("it sees when a round got nowhere, so that rounds don't pile up in front of what is away")
    func lag() async throws {
        try await Self.with { stage in
            let store = CanaryStore(database: stage.context.lane)
            let holder = UUID()
            try await Self.canary(stage).post()
            #expect(try await !store.takeTurn(holder).lags)
            try await stage.admin.run(
                "UPDATE intake.emergency_outbox SET created_at = clock_timestamp() - interval '3 seconds'")
            #expect(try await store.takeTurn(holder).lags)
        }
    }

    @Test("no request sees a round, whatever its scope; the purge leaves nothing of it and nobody else's rows alone")
    func hidden() async throws {
        try await Self.with { stage in
            try await Self.canary(stage).post()
            let seen = "SELECT count(*) FROM intake.api_report WHERE district_id = sluice.canary()"
            let all = try await stage.context.http.query(
                "SELECT count(*) FROM intake.api_report WHERE district_id = sluice.canary()", scope: .all)
            #expect(try all[0].decode(0, as: Int.self) == 0)
            #expect(try await Self.number(stage, seen) == 1)

            let others = try await Self.number(
                stage, "SELECT count(*) FROM intake.report WHERE district_id <> sluice.canary()")
            let purge: SQL = "SELECT intake.purge_canaries(clock_timestamp() + interval '10 minutes')"
            #expect(try await stage.context.background.query(purge)[0].decode(0, as: Int.self) == 1)
            for table in ["report", "tracking", "history"] {
                let rest = try await Self.number(
                    stage,
                    "SELECT count(*) FROM intake.\(table) t WHERE to_jsonb(t) @> '{\"canary\": true}'"
                        + " OR to_jsonb(t)::text LIKE '%' || sluice.canary() || '%'")
                #expect(rest == 0, "\(table)")
            }
            #expect(try await Self.number(stage, "SELECT count(*) FROM intake.report") == others)
        }
    }

    @Test("the rate is a setting, and 0 turns it off", arguments: [("0", 0.0), ("2.5", 2.5), (nil, 2.0)])
    func setting(text: String?, rate: Double) async throws {
        try await Self.with(text) { stage in
            let service = try IntakeService(stage.context)
            #expect(service.settings.canaryRate == rate)
            #expect(service.services().count == (rate > 0 ? 6 : 5))
        }
    }

    @Test("a rate that is no rate is refused by name", arguments: ["-1", "fast", "1000"])
    func wrongSetting(text: String) async throws {
        try await Self.with(text) { stage in
            let error = #expect(throws: ConfigurationErrors.self) {
                _ = try IntakeSettings(stage.context.configuration)
            }
            #expect(error.map { "\($0)".contains("SLUICE_CANARY_RATE") } == true)
        }
    }
}
