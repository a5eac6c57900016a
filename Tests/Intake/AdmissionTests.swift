import Foundation
import Model
import Outbox
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import IntakeService

/// While the emergency lane needs room routine reports wait, and emergencies do not: by what dispatch says in its own
/// table, over HTTP.
@Suite("Admission under pressure", .timeLimit(.minutes(5)))
struct AdmissionTests {
    private static let emergency: [String: any Sendable] = ["category": "missing_cover", "lon": 114.02, "lat": 22.53]

    /// A routine report that can be sent again as it was.
    private struct Sent: Sendable {
        var device = RunningIntake.device()
        var key = UUID().uuidString

        func post(to intake: RunningIntake) async throws -> RunningIntake.Answer {
            try await intake.post("/v1/reports", ReportTests.routine, device: device, key: key)
        }
    }

    /// An intake of our own, since what presses one would press every other test's.
    private static func with(_ body: @Sendable (RunningIntake) async throws -> Void) async throws {
        try await PrivatePostgres.shared().inTurn {
            let intake = try await RunningIntake([
                "SLUICE_ROUTINE_MAXIMUM": "40", "SLUICE_ROUTINE_FLOOR": "1", "SLUICE_DB_HTTP_CONNECTIONS": "1+4",
                "SLUICE_DB_BACKGROUND_CONNECTIONS": "1+4", "SLUICE_DB_LANE_CONNECTIONS": "1+4",
            ])
            do {
                try await body(intake)
            } catch {
                await intake.stop()
                throw error
            }
            await intake.stop()
        }
    }

    /// What a dispatch says from now on. A reading from the future stays fresh however slow the test is.
    private static func press(_ intake: RunningIntake, _ pressure: Double) async throws {
        try await intake.server.open("postgres", database: intake.database).run(
            """
            INSERT INTO dispatch.lane_signal AS s (instance, pressure, worst_ms, oldest_ms, measured_at)
            VALUES ('test', \(pressure), 0, 0, clock_timestamp() + interval '1 day')
            ON CONFLICT (instance) DO UPDATE SET pressure = excluded.pressure
            """)
    }

    private static func wait(until condition: () -> Bool) async throws {
        while !condition() { try await Task.sleep(for: .milliseconds(20)) }
    }

    /// Twenty routine reports at once, again and again until one is told to wait; at rest an intake takes one a second.
    private static func shed(by intake: RunningIntake) async throws -> (sent: Sent, answer: RunningIntake.Answer)? {
        for _ in 0..<20 {
            let shed = try await withThrowingTaskGroup(of: (Sent, RunningIntake.Answer).self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let sent = Sent()
                        return (sent, try await sent.post(to: intake))
                    }
                }
                return try await group.reduce(into: [(Sent, RunningIntake.Answer)]()) { all, one in
                    #expect(one.1.status == 201 || one.1.status == 429)
                    if one.1.status == 429 { all.append(one) }
                }
            }
            if let first = shed.first { return (first.0, first.1) }
        }
        return nil
    }

    @Test("a routine report is told when to come back, an emergency is in; when the lane is calm the same report is in")
    func sheds() async throws {
        try await Self.with { intake in
            let flow = intake.context.flow
            try await Self.press(intake, 0)
            #expect(try await Sent().post(to: intake).status == 201)

            try await Self.press(intake, 1)
            try await Self.wait { flow.share < 0.01 }
            let (sent, answer) = try #require(try await Self.shed(by: intake))
            #expect(answer.headers["content-type"] == ["application/problem+json"])
            let seconds = try #require(answer.headers["retry-after"]?.first.flatMap { Int($0) })
            #expect(seconds > 1, "the harder the lane is pressed, the later")
            for _ in 0..<20 {
                let emergency = try await intake.post("/v1/reports", Self.emergency)
                #expect(emergency.status == 201)
                #expect(try emergency.json(ReportTests.Receipt.self).emergency)
            }
            let rows = try await intake.rows(
                "SELECT count(*) FROM intake.emergency_outbox e JOIN intake.history h USING (id) WHERE NOT h.canary")
            #expect(rows == [["20"]])

            try await Self.press(intake, 0)
            try await Self.wait { flow.share > 0.5 }
            #expect(try await sent.post(to: intake).status == 201, "what was shed is not remembered against it")
        }
    }
}
