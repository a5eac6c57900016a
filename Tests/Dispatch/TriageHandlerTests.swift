import Foundation
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("Filing reports")
struct TriageHandlerTests {
    @Test("Reports of one problem become one case, within a batch and after it")
    func oneCase() async throws {
        try await Stage.with { stage in
            try await stage.deliver([stage.report(), stage.report(device: "b"), stage.report(device: "c")])
            try await stage.deliver([stage.report(device: "d")])
            let cases = try await stage.cases()
            #expect(cases.count == 1)
            #expect(cases[0].reportCount == 4)
            #expect(cases[0].state == .filed)
            // Opened once with three reports, changed once by the fourth.
            #expect(cases[0].version == 2)
            #expect(cases[0].devices.sorted() == ["a", "b", "c", "d"])
            #expect(try await stage.count("SELECT count(*) FROM dispatch.report_state WHERE outcome = 'case'") == 4)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.decision WHERE kind = 'triage'") == 4)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.history") == 2)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.outbox") == 2)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.live_event") == 2)
            #expect(try await stage.waiting().map(\.skillKey) == ["pump"])
        }
    }

    @Test("Two consumers that hold one problem at once open one case")
    func concurrently() async throws {
        try await Stage.with { stage in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    group.addTask { try await stage.deliver([stage.report(device: "d\(index)")]) }
                }
                try await group.waitForAll()
            }
            let cases = try await stage.cases()
            #expect(cases.map(\.reportCount) == [8])
        }
    }

    @Test("A report that is announced again is not filed again")
    func again() async throws {
        try await Stage.with { stage in
            let report = stage.report()
            try await stage.deliver([report])
            try await stage.deliver([report])
            #expect(try await stage.cases().map(\.reportCount) == [1])
        }
    }

    @Test("An emergency goes by the lane with clocks of its category; its case waits for a crew")
    func emergency() async throws {
        try await Stage.with { stage in
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            let record = try #require(try await stage.cases().first)
            #expect(record.emergency)
            #expect(record.respondDue == record.openedAt + .seconds(600))
            #expect(
                try await stage.count("SELECT count(*) FROM dispatch.emergency_outbox WHERE type = 'case.opened.v1'")
                    == 1)
            #expect(try await stage.waiting().map(\.emergency) == [true])
            #expect(try await stage.count("SELECT count(*) FROM dispatch.due WHERE clock = 'respond'") == 1)
        }
    }

    @Test("An emergency that joins a routine case raises it, takes its order back and claims anew")
    func raise() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            try await stage.deliver([stage.report()])
            #expect(try await stage.claiming.claimRoutine(limit: 10) == 1)
            #expect(try await stage.slot(crew).listed == 1)
            try await stage.deliver([stage.report(emergency: true, severity: .high, device: "b")])
            let record = try #require(try await stage.cases().first)
            #expect(record.emergency)
            #expect(record.state == .filed)
            #expect(record.orderID == nil)
            #expect(try await stage.orders().map(\.state) == [.withdrawn])
            #expect(try await stage.slot(crew).listed == 0)
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(try await stage.slot(crew).job?.emergency == true)
            // The raise itself is told in the lane.
            let lane = try await stage.count(
                "SELECT count(*) FROM dispatch.emergency_outbox WHERE type = 'case.changed.v1'")
            #expect(lane == 2)
        }
    }

    @Test("A started routine job whose case becomes an emergency stays with its crew")
    func raiseStarted() async throws {
        try await Stage.with { stage in
            let account = Account.ID(try #require(.init(uuidString: "00000000-0000-7000-8000-0000000000aa")))
            let crew = try await stage.crew(account: account)
            try await stage.deliver([stage.report()])
            try await stage.claiming.claimRoutine(limit: 10)
            let order = try #require(try await stage.orders().first)
            try await stage.serving { caller in
                let token = try stage.token([.crew], account: account)
                let answer = try await caller.post(
                    "/v1/orders/\(order.orderID)/steps", token, Steps.body([Steps.step("en_route")]))
                #expect(answer.status == 200, "\(answer.text)")
            }
            try await stage.deliver([stage.report(emergency: true, severity: .high, device: "b")])
            #expect(try await stage.orders().map(\.emergency) == [true])
            #expect(try await stage.slot(crew).job?.emergency == true)
            #expect(try await stage.waiting().isEmpty)
        }
    }

    @Test("An unverified emergency opens a case, and waits 60 s for its crew; a second device ends the wait")
    func unverified() async throws {
        try await Stage.with { stage in
            try await stage.crew()
            try await stage.deliver([stage.report(emergency: true, severity: .high, verified: false)])
            #expect(try await stage.claiming.claimEmergencies() == 0)
            #expect(try await stage.cases().map(\.verified) == [false])
            try await stage.deliver([
                stage.report(emergency: true, severity: .high, verified: false, device: "b")
            ])
            #expect(try await stage.cases().map(\.verified) == [true])
            #expect(try await stage.claiming.claimEmergencies() == 1)
        }
    }

    @Test("Nonsense is poison; a category that may only be new is tried again")
    func poison() async throws {
        try await Stage.with { stage in
            let handler = stage.service.triage(.routine)
            var event = try stage.event(stage.report())
            event.data = Array("{}".utf8)
            #expect(throws: DecodingError.self) { try handler.plan([event]) }
            let unknown = try stage.event(stage.report("unheard_of"))
            #expect(throws: CategoriesNotReady.self) { try handler.plan([unknown]) }
            var old = unknown
            old.time = old.time - .seconds(60)
            #expect(throws: Poison.self) { try handler.plan([old]) }
        }
    }

    @Test("Readings are facts: rejected as cases, with the reason")
    func readings() async throws {
        try await Stage.with { stage in
            var reading = stage.report()
            reading.kind = .reading
            try await stage.deliver([reading])
            #expect(try await stage.cases().isEmpty)
            let rejected = try await stage.count(
                "SELECT count(*) FROM dispatch.api_report_state WHERE outcome = 'rejected' AND reason = 'no_case_kind'")
            #expect(rejected == 1)
        }
    }
}
