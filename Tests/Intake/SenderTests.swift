import Foundation
import HTTPTypes
import Model
import Postgres
import ServiceKit
import Testing

@testable import IntakeService

/// What a sender may do how often, and that none of it stands in an emergency's way.
@Suite("Senders", .timeLimit(.minutes(5)))
struct SenderTests {
    private static let emergency: [String: any Sendable] = ["category": "missing_cover", "lon": 114.02, "lat": 22.53]

    @Test("an address that has used up its share sends neither routine reports nor junk, but every emergency")
    func address() async throws {
        let intake = try await RunningIntake.shared()
        func send(_ report: [String: any Sendable]) async throws -> Int {
            try await intake.post("/v1/reports", report, headers: ["X-Real-IP": "192.0.2.9"]).status
        }
        let junk: [String: any Sendable] = ["category": "nonsense", "lon": 114.02, "lat": 22.53]
        for _ in 0..<RunningIntake.reportsOfAnAddress { #expect(try await send(junk) == 422) }
        #expect(try await send(junk) == 429)
        #expect(try await send(ReportTests.routine) == 429)
        #expect(try await send(Self.emergency) == 201)
        // Others have a share of their own, and so has who is signed in.
        let other = try await intake.post("/v1/reports", ReportTests.routine, headers: ["X-Real-IP": "192.0.3.9"])
        #expect(other.status == 201)
        let login = "r-\(UUID().uuidString.lowercased().prefix(8))"
        try await intake.account(login, [.crew])
        let token = try await intake.signIn(login).accessToken
        let crew = try await intake.post(
            "/v1/reports", ReportTests.routine, token: token, headers: ["X-Real-IP": "192.0.2.9"])
        #expect(crew.status == 201)
    }

    @Test("an emergency that is sent again and again counts once", arguments: [false, true])
    func retries(atOnce: Bool) async throws {
        let intake = try await RunningIntake.shared()
        let device = RunningIntake.device()
        let key = UUID().uuidString
        @Sendable func send(_ key: String) async throws -> ReportTests.Receipt {
            try await intake.post("/v1/reports", Self.emergency, device: device, key: key)
                .json(ReportTests.Receipt.self)
        }
        if atOnce {
            let codes = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<6 { group.addTask { try await send(key).code } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(codes.count == 1)
        } else {
            for _ in 0..<4 { _ = try await send(key) }
        }
        #expect(try await send(UUID().uuidString).verified)
    }

    @Test("a sign at a manhole leads to an emergency while the connections of routine reports are out of reach")
    func facility() async throws {
        let intake = try await RunningIntake.shared()
        let receive = await Self.receiveWithoutRoutineConnections(intake)
        let sender = Sender(
            claims: nil, device: DeviceKey(RunningIntake.device()), address: "127.0.0.1", traceparent: "")
        for input in [
            ReportInput(category: "missing_cover", facilityCode: "MH-1"),
            ReportInput(category: "blocked_gully", description: "有人落水", facilityCode: "MH-1"),
            ReportInput(category: "blocked_gully", facilityCode: "MH-1", personAtRisk: true),
        ] {
            let prepared = try await receive.prepare(input, from: sender)
            #expect(prepared.isEmergency && prepared.record.facilityID != nil)
        }
        // The one could have been an emergency by its place, and turns out to be none; no place makes the other urgent.
        for category in ["flooding", "blocked_gully"] {
            let problem = await #expect(throws: Problem.self) {
                try await receive.prepare(ReportInput(category: category, facilityCode: "MH-1"), from: sender)
            }
            #expect(problem?.status == .tooManyRequests)
        }
    }

    /// As in the worst hour: nothing that routine reports use answers, and none is let in.
    private static func receiveWithoutRoutineConnections(_ intake: RunningIntake) async -> ReceiveReport {
        let context = intake.context
        let service = intake.service
        let closed = PostgresClient(
            configuration: context.configuration.databaseHTTP, shared: 1, exclusive: 1, reactor: PostgresReactor(),
            name: "closed", logger: context.logger)
        await closed.shutDown()
        let gate = AdmissionGate(maximum: 0.001, floor: 0.001) { 0 }
        return ReceiveReport(
            cache: service.cache, budget: service.settings.budget, limits: SenderLimits(), admission: gate,
            keyring: service.keyring, master: service.master, messaging: context.messaging, sources: context.sources,
            publicURL: context.configuration.publicURL, logger: context.logger, database: closed,
            together: GroupCommit(closed), lane: context.lane)
    }
}
