import Foundation
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

/// Who is asked, and who is asked again: nothing that cannot be served now stands before what can.
@Suite("The head of the queue")
struct QueueHeadTests {
    static func north(_ metres: Double) -> Coordinate { ClaimingTests.north(metres) }

    @Test("Hundreds of emergencies that no crew can take hide none of another district, nor of other skills")
    func hidden() async throws {
        try await Stage.with { stage in
            // They are worse and older, in a district without crews.
            for batch in 0..<3 {
                try await stage.deliver(
                    (0..<100).map { index in
                        stage.report(
                            at: Self.north(Double(batch * 100 + index) * 200), emergency: true, severity: .lifeAtRisk,
                            district: stage.otherDistrict)
                    })
            }
            try await stage.deliver([stage.report(emergency: true, severity: .normal)])
            try await stage.deliver([stage.report("blockage", at: Self.north(500), emergency: true)])
            let unskilled = try await stage.crew("unskilled", skills: [])
            #expect(try await stage.claiming.claimEmergencies() == 1, "the one that needs no pump")
            let pump = try await stage.crew("pump")
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(Set(try await stage.orders().map(\.crewID)) == [unskilled, pump])
            #expect(try await stage.waiting().count == 300)
        }
    }

    @Test("Emergencies that the only free crew declined hide none that it may take")
    func declined() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            for index in 0..<3 {
                try await stage.deliver([stage.report(at: Self.north(Double(index) * 300), emergency: true)])
            }
            let first = try await stage.waiting().prefix(2).map(\.caseID)
            try await stage.context.background.query(
                "UPDATE dispatch.claim_queue SET excluded = ARRAY[\(crew)::uuid] WHERE case_id = ANY (\(first))")
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(Set(try await stage.waiting().map(\.caseID)) == Set(first))
            // They displace nothing either, however much worse they are, since it is the same crew that would have to come.
            try await stage.context.background.query(
                "UPDATE dispatch.claim_queue SET severity = 5 WHERE case_id = ANY (\(first))")
            #expect(try await stage.claiming.claimEmergencies() == 0)
        }
    }

    @Test("An emergency that some crew would leave another one for is found behind one that none would")
    func displaceable() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            try await stage.deliver([stage.report(emergency: true, severity: .raised)])
            #expect(try await stage.claiming.claimEmergencies() == 1)
            try await stage.deliver([stage.report(at: Self.north(300), emergency: true, severity: .raised)])
            #expect(try await stage.claiming.claimEmergencies() == 0)
            try await stage.deliver([stage.report(at: Self.north(600), emergency: true, severity: .lifeAtRisk)])
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(try await stage.slot(crew).job?.severity == .lifeAtRisk)
        }
    }

    @Test("Routine cases that a crew declined hide none that it may take")
    func routineDeclined() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            for index in 0..<3 {
                try await stage.deliver([stage.report("blockage", at: Self.north(Double(index) * 300))])
            }
            let first = try await stage.waiting().prefix(2).map(\.caseID)
            try await stage.context.background.query(
                "UPDATE dispatch.claim_queue SET excluded = ARRAY[\(crew)::uuid] WHERE case_id = ANY (\(first))")
            #expect(try await stage.claiming.claimRoutine(limit: 2) == 1)
            #expect(Set(try await stage.waiting().map(\.caseID)) == Set(first))
        }
    }

    @Test("An emergency comes back to the only crew, though it did not answer before")
    func onlyCrew() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            for unanswered in 1...3 {
                #expect(try await stage.claiming.claimEmergencies() == 1)
                try await stage.releases.silence(emergency: true, after: .zero)
                #expect(try await stage.slot(crew).unanswered == unanswered)
            }
            #expect(try await stage.claiming.claimEmergencies() == 1)
        }
    }

    @Test("Routine work that nobody answered goes to the next crew with room, and to the same one if there is none")
    func routineSilence() async throws {
        try await Stage.with { stage in
            let near = try await stage.crew("near")
            let far = try await stage.crew("far", at: Self.north(5_000), limit: 1)
            for index in 1...2 {
                try await stage.deliver([stage.report("blockage", at: Self.north(Double(index) * 100))])
            }
            #expect(try await stage.claiming.claimRoutine(limit: 10) == 2)
            #expect(try await stage.slot(near).listed == 2)
            try await stage.releases.silence(emergency: false, after: .zero)
            #expect(try await stage.slot(near).unanswered == 0, "it says nothing about emergencies")
            #expect(try await stage.waiting().map(\.silent) == [[near], [near]])
            #expect(try await stage.waiting().allSatisfy(\.excluded.isEmpty))
            // The far one has room for one of them.
            #expect(try await stage.claiming.claimRoutine(limit: 10) == 1)
            #expect(try await stage.claiming.claimRoutine(limit: 10) == 1)
            #expect(try await stage.slot(far).listed == 1)
            #expect(try await stage.slot(near).listed == 1)
        }
    }

    @Test("Who declined a case is not asked for it again, however many have declined it since")
    func declinedByAll() async throws {
        try await Stage.with { stage in
            let accounts = [Account.ID(UUID()), Account.ID(UUID())]
            let near = try await stage.crew("near", account: accounts[0])
            let far = try await stage.crew("far", at: Self.north(5_000), account: accounts[1])
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            try await stage.serving { caller in
                for account in accounts {
                    #expect(try await stage.claiming.claimEmergencies() == 1)
                    let order = try #require(try await stage.orders().first { $0.state == .assigned })
                    let answer = try await caller.post(
                        "/v1/orders/\(order.orderID)/steps", try stage.token([.crew], account: account),
                        Steps.body([Steps.step("decline", note: "no pump")]))
                    #expect(answer.string("order.state") == "declined", "\(answer.text)")
                }
            }
            #expect(Set(try await stage.waiting()[0].excluded) == [near, far])
            #expect(try await stage.claiming.claimEmergencies() == 0)
            // Somebody new comes.
            try await stage.crew("third", at: Self.north(9_000))
            #expect(try await stage.claiming.claimEmergencies() == 1)
        }
    }
}
