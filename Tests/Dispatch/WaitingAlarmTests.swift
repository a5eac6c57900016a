import Foundation
import Logging
import Model
import Postgres
import PrivateServers
import Rules
import ServiceKit
import Synchronization
import Testing

@testable import DispatchService

/// Emergencies that nobody comes to are counted, and called.
@Suite("Emergencies that wait")
struct WaitingAlarmTests {
    /// What the service has called, by case.
    private final class Calls: Sendable {
        private let lines = Mutex<[String]>([])

        var cases: [String] { lines.withLock { $0 } }

        func add(_ event: LogEvent) {
            guard event.level == .error else { return }
            let text = event.metadata?["case"].map { "\($0)" } ?? event.message.description
            lines.withLock { $0.append(text) }
        }

        var logger: Logger { Logger(label: "test") { _ in Handler(calls: self) } }
    }

    private struct Handler: LogHandler {
        let calls: Calls
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]
        var metadataProvider: Logger.MetadataProvider?

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { calls.add(event) }
    }

    private static func alarm(_ stage: Stage, _ calls: Calls, instance: String = "test") -> WaitingAlarm {
        WaitingAlarm(
            database: stage.context.background, instance: instance, patience: .seconds(3_600), interval: .seconds(1),
            logger: calls.logger)
    }

    /// As if everything that waits for a crew had come two hours ago.
    private static func letTimePass(_ stage: Stage) async throws {
        try await stage.admin.run(
            """
            UPDATE dispatch.claim_queue SET not_before = not_before - interval '2 hours'
            WHERE not_before <= clock_timestamp()
            """)
    }

    @Test("They are counted by what they wait for; routine work, the canary and who has a crew are none of them")
    func counted() async throws {
        try await Stage.with { stage in
            let alarm = Self.alarm(stage, Calls())
            let nobody = try await alarm.look()
            #expect(nobody.gauges.map(\.value) == [0, 0, 0, 0])

            try await stage.deliver([stage.report(emergency: true)])
            try await stage.deliver([stage.report(at: ClaimingTests.north(600), emergency: true, verified: false)])
            try await stage.deliver([stage.report("blockage", at: ClaimingTests.north(1_200))])
            try await stage.admin.run(
                """
                UPDATE dispatch.claim_queue SET not_before = clock_timestamp() + interval '50 minutes'
                WHERE emergency AND NOT verified;
                INSERT INTO dispatch.claim_queue (
                    case_id, district_id, emergency, severity, verified, not_before, since, skill_key, lon, lat, canary)
                VALUES (gen_random_uuid(), sluice.canary(), true, 1, true, 'epoch', 'epoch', '', 0, 0, true)
                """)
            try await Self.letTimePass(stage)
            let waiting = try await alarm.look()
            #expect(waiting.forCrew.count == 1)
            #expect(waiting.forCrew.oldest >= 7_200)
            #expect(waiting.forVerification.count == 1)
            #expect(
                Set(waiting.gauges.map { "\($0.label) \($0.what)" }) == [
                    "sluice_emergencies_waiting crew", "sluice_emergencies_waiting verification",
                    "sluice_emergencies_waiting_oldest_seconds crew",
                    "sluice_emergencies_waiting_oldest_seconds verification",
                ])

            // One that nobody verified in time claims by itself: now it waits for a crew as well.
            try await stage.admin.run(
                """
                DELETE FROM dispatch.claim_queue WHERE canary;
                UPDATE dispatch.claim_queue SET not_before = clock_timestamp() WHERE emergency AND NOT verified
                """)
            let later = try await alarm.look()
            #expect(later.forCrew.count == 2)
            #expect(later.forVerification == EmergenciesWaiting.Queue(count: 0, oldest: 0))

            try await stage.crew()
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(try await alarm.look().forCrew.count == 1)
        }
    }

    @Test("One that waits for too long is called once, and again when it has lost a crew and waits anew")
    func called() async throws {
        try await Stage.with { stage in
            let calls = Calls()
            let alarm = Self.alarm(stage, calls)
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            try await stage.deliver([stage.report("blockage", at: ClaimingTests.north(1_200))])
            let caseID = try #require(try await stage.waiting().first { $0.emergency }).caseID
            try await alarm.look()
            #expect(calls.cases.isEmpty, "it has just come")

            try await Self.letTimePass(stage)
            try await alarm.look()
            try await alarm.look()
            #expect(calls.cases == ["\(caseID)"])

            try await stage.crew()
            #expect(try await stage.claiming.claimEmergencies() == 1)
            try await alarm.look()
            // Nobody answers, so it is back, and its wait begins anew.
            try await stage.releases.silence(emergency: true, after: .zero)
            try await alarm.look()
            #expect(calls.cases == ["\(caseID)"])
            try await Self.letTimePass(stage)
            try await alarm.look()
            #expect(calls.cases == ["\(caseID)", "\(caseID)"])
        }
    }

    @Test("However many wait, each is called")
    func many() async throws {
        try await Stage.with { stage in
            let calls = Calls()
            let alarm = Self.alarm(stage, calls)
            try await stage.deliver(
                (0..<70).map { stage.report(at: ClaimingTests.north(Double($0) * 300), emergency: true) })
            try await Self.letTimePass(stage)
            for _ in 0..<3 { try await alarm.look() }
            #expect(calls.cases.count == 70)
            let waiting = try await stage.waiting().map { "\($0.caseID)" }
            #expect(Set(calls.cases) == Set(waiting))
        }
    }

    @Test("Of several instances one calls, and the next one when that is gone")
    func several() async throws {
        try await Stage.with { stage in
            // A reading from the future stays fresh however slow the test is.
            try await stage.admin.run(
                """
                INSERT INTO dispatch.lane_signal (instance, pressure, worst_ms, oldest_ms, measured_at)
                SELECT name, 0, 0, 0, clock_timestamp() + interval '1 day' FROM unnest('{a,b}'::text[]) name
                """)
            let (first, second) = (Calls(), Calls())
            let alarms = (Self.alarm(stage, first, instance: "a"), Self.alarm(stage, second, instance: "b"))
            try await stage.deliver([stage.report(emergency: true)])
            try await Self.letTimePass(stage)
            #expect(try await alarms.0.look().forCrew.count == 1)
            #expect(try await alarms.1.look().forCrew.count == 1, "both show it")
            #expect(first.cases.count == 1 && second.cases.isEmpty)
            try await stage.admin.run("DELETE FROM dispatch.lane_signal WHERE instance = 'a'")
            try await alarms.1.look()
            #expect(second.cases.count == 1)
        }
    }

    @Test("The wait is a setting, and the service looks")
    func wiring() async throws {
        try await Stage.with(["SLUICE_DISPATCH_WAITING_ALARM_SECONDS": "7"]) { stage in
            #expect(stage.service.settings.waitingAlarm == .seconds(7))
            let parts = stage.service.services().compactMap { $0 as? SupervisedService }
            #expect(parts.contains { $0.service is WaitingAlarm })
        }
        #expect(DispatchSettings().waitingAlarm == .seconds(120))
    }
}

extension PlanTests {
    @Test("the alarm for emergencies that wait, beside twenty thousand other cases")
    func waitingEmergencies() async throws {
        try await BigCity.with(.dispatch) { city in
            let statements = [
                WaitingStore.look, WaitingStore.long(.seconds(120), besides: [], limit: 50),
                WaitingStore.still(.seconds(120), of: [Case.ID(UUID())]), WaitingStore.isFirst("test"),
            ]
            try expectGoodPlans(
                try await city.plans(
                    of: statements, before: [WaitingStore.byIndex], on: city.stage.context.background, scope: .all),
                of: statements.count, in: city, role: "sluice_dispatch_bg")
        }
    }
}
