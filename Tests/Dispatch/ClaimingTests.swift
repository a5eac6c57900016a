import Foundation
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("Claiming crews")
struct ClaimingTests {
    static func north(_ metres: Double) -> Coordinate {
        Coordinate(lon: Stage.here.lon, lat: Stage.here.lat + metres / 111_195)
    }

    @Test("The nearest crew with the skill takes the emergency; why is kept")
    func nearest() async throws {
        try await Stage.with { stage in
            try await stage.crew("far", at: Self.north(2_000))
            let near = try await stage.crew("near", at: Self.north(300))
            try await stage.crew("unskilled", at: Self.north(10), skills: ["cover"])
            try await stage.crew("elsewhere", at: Self.north(5), district: stage.otherDistrict)
            try await stage.crew("at home", at: Self.north(1), onShift: false)
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            #expect(try await stage.claiming.claimEmergencies() == 1)

            let order = try #require(try await stage.orders().first)
            #expect(order.crewID == near)
            #expect(order.state == .assigned)
            let record = try #require(try await stage.cases().first)
            #expect(record.state == .dispatched)
            #expect(record.crewID == near)
            #expect(record.orderID == order.orderID)
            #expect(try await stage.slot(near).job?.orderID == order.orderID)
            #expect(try await stage.waiting().isEmpty)
            #expect(try await stage.count("SELECT count(*) FROM dispatch.crew_period WHERE upper_inf(period)") == 1)
            let why = try await stage.context.background.query(
                "SELECT reason_code, inputs ->> 'distance_m' AS metres FROM dispatch.decision WHERE kind = 'claim'")
            #expect(try why[0].decode("reason_code", as: String.self) == "nearest_free_crew")
            #expect(try Double(why[0].decode("metres", as: String.self)).map { abs($0 - 300) < 3 } == true)
            #expect(
                try await stage.count("SELECT count(*) FROM dispatch.emergency_outbox WHERE type = 'order.assigned.v1'")
                    == 1)
        }
    }

    @Test("Of emergencies that are claimed side by side the most urgent has its nearest crew, and none goes without")
    func sideBySide() async throws {
        try await Stage.with { stage in
            var crews: [Crew.ID] = []
            for index in 0..<6 {
                crews.append(try await stage.crew("crew \(index)", at: Self.north(Double(index) * 400)))
            }
            // All are nearest to the first crew; the last reported is the worst.
            for index in 0..<6 {
                try await stage.deliver([
                    stage.report(
                        at: Self.north(-2_000 - Double(index) * 400), emergency: true,
                        severity: index == 5 ? .lifeAtRisk : .high)
                ])
            }
            #expect(try await stage.claiming.claimEmergencies() == 6)
            let orders = try await stage.orders()
            #expect(Set(orders.map(\.crewID)) == Set(crews))
            #expect(orders.first { $0.severity == .lifeAtRisk }?.crewID == crews[0])
            #expect(try await stage.waiting().isEmpty)
        }
    }

    @Test("A routine batch passes over a crew and a case that somebody holds, and lists all the others")
    func batchBesideOthers() async throws {
        try await Stage.with { stage in
            let held = try await stage.crew("held", limit: 50)
            let free = try await stage.crew("free", at: Self.north(5_000), limit: 50)
            for index in 0..<10 {
                try await stage.deliver([stage.report("blockage", at: Self.north(Double(index) * 50))])
                try await stage.deliver([stage.report("blockage", at: Self.north(5_000 + Double(index) * 50))])
            }
            let busy = try #require(try await stage.cases().first { $0.lat > Self.north(4_000).lat })
            // As superuser, whom no time-out ends meanwhile.
            try await stage.admin.run(
                """
                BEGIN;
                SELECT FROM dispatch.crew_slot WHERE crew_id = '\(held)' FOR UPDATE;
                SELECT FROM dispatch.case_file WHERE case_id = '\(busy.caseID)' FOR UPDATE;
                """)
            try await stage.claiming.claimRoutine(limit: 100)
            #expect(try await stage.slot(held).listed == 0)
            #expect(try await stage.slot(free).listed == 9)
            try await stage.admin.run("ROLLBACK")
            while try await stage.claiming.claimRoutine(limit: 100) > 0 {}
            #expect(try await stage.slot(held).listed == 10)
            #expect(try await stage.slot(free).listed == 10)
            #expect(try await stage.waiting().isEmpty)
        }
    }

    @Test("Many claimers at once: every crew has one emergency, none has two, the rest wait")
    func concurrently() async throws {
        try await Stage.with { stage in
            for index in 0..<5 { try await stage.crew("crew \(index)", at: Self.north(Double(index) * 10)) }
            for index in 0..<12 {
                try await stage.deliver([
                    stage.report(at: Self.north(Double(1_000 + index * 200)), emergency: true, severity: .high)
                ])
            }
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<6 { group.addTask { try await stage.claiming.claimEmergencies() } }
                for try await _ in group {}
            }
            try await stage.claiming.claimEmergencies()
            let orders = try await stage.orders()
            #expect(orders.count == 5)
            #expect(Set(orders.map(\.crewID)).count == 5)
            #expect(Set(orders.map(\.caseID)).count == 5)
            #expect(try await stage.waiting().count == 7)
        }
    }

    @Test("The more severe is served first, though it came later")
    func severity() async throws {
        try await Stage.with { stage in
            try await stage.crew()
            try await stage.deliver([stage.report(emergency: true, severity: .raised)])
            try await stage.deliver([
                stage.report(at: Self.north(1_000), emergency: true, severity: .lifeAtRisk)
            ])
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(try await stage.orders().map(\.severity) == [.lifeAtRisk])
        }
    }

    @Test("A more severe emergency displaces one that nobody has left for; that one waits again")
    func displaces() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            try await stage.deliver([stage.report(emergency: true, severity: .raised)])
            try await stage.claiming.claimEmergencies()
            try await stage.deliver([stage.report(at: Self.north(900), emergency: true, severity: .lifeAtRisk)])
            #expect(try await stage.claiming.claimEmergencies() == 1)

            let orders = try await stage.orders()
            #expect(orders.map(\.state) == [.withdrawn, .assigned])
            #expect(orders[0].reasonCode == "displaced_by_emergency")
            #expect(try await stage.slot(crew).job?.orderID == orders[1].orderID)
            let waiting = try await stage.waiting()
            #expect(waiting.map(\.caseID) == [orders[0].caseID])
            #expect(try await stage.count("SELECT count(*) FROM dispatch.crew_period WHERE upper_inf(period)") == 1)
            // Nothing is displaced by what is not strictly more severe.
            try await stage.deliver([stage.report(at: Self.north(1_900), emergency: true, severity: .lifeAtRisk)])
            #expect(try await stage.claiming.claimEmergencies() == 0)
        }
    }

    @Test("Routine cases get places in the lists of the nearest crews, up to their limit")
    func lists() async throws {
        try await Stage.with { stage in
            let near = try await stage.crew("near", limit: 2)
            let far = try await stage.crew("far", at: Self.north(3_000), limit: 2)
            for index in 0..<6 {
                try await stage.deliver([stage.report("blockage", at: Self.north(Double(index) * 50))])
            }
            while try await stage.claiming.claimRoutine(limit: 10) > 0 {}
            #expect(try await stage.slot(near).listed == 2)
            #expect(try await stage.slot(far).listed == 2)
            #expect(try await stage.waiting().count == 2)
            #expect(try await stage.slot(near).job == nil)
            // A place in a list binds nobody yet.
            #expect(try await stage.count("SELECT count(*) FROM dispatch.crew_period") == 0)
        }
    }

    @Test("An emergency takes a crew with a list, and the list goes back to the queue")
    func displacesList() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew()
            for index in 1...3 {
                try await stage.deliver([stage.report("blockage", at: Self.north(Double(index) * 100))])
            }
            while try await stage.claiming.claimRoutine(limit: 10) > 0 {}
            try await stage.deliver([stage.report(at: Self.north(900), emergency: true, severity: .high)])
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(try await stage.slot(crew).clearList)
            try await stage.releases.clearLists()
            let slot = try await stage.slot(crew)
            #expect(slot.listed == 0)
            #expect(!slot.clearList)
            #expect(slot.job?.emergency == true)
            #expect(try await stage.waiting().count == 3)
            // A crew at an emergency gets no routine work.
            #expect(try await stage.claiming.claimRoutine(limit: 10) == 0)
        }
    }

    @Test("A crew on loan serves the borrower's district until the loan is over")
    func loan() async throws {
        try await Stage.with { stage in
            let crew = try await stage.crew(district: stage.otherDistrict)
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            #expect(try await stage.claiming.claimEmergencies() == 0)
            let now = stage.context.sources.now()
            try await stage.context.background.query(
                CrewRegister.lend(
                    crew, loan: UUID(), to: stage.district, home: stage.otherDistrict, since: now - .seconds(60),
                    until: now + .seconds(600), by: "test", reason: nil))
            #expect(try await stage.claiming.claimEmergencies() == 1)
        }
    }

    @Test("A crew that does not answer loses the emergency to another, and is asked last from then on")
    func silence() async throws {
        try await Stage.with { stage in
            let near = try await stage.crew("near")
            let far = try await stage.crew("far", at: Self.north(5_000))
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            try await stage.claiming.claimEmergencies()
            try await stage.releases.silence(emergency: true, after: .zero)
            let slot = try await stage.slot(near)
            #expect(slot.job == nil)
            #expect(slot.unanswered == 1)
            #expect(try await stage.waiting().first?.silent == [near])
            #expect(try await stage.claiming.claimEmergencies() == 1)
            #expect(try await stage.orders().map(\.state) == [.silent, .assigned])
            #expect(try await stage.slot(far).job != nil)
        }
    }

    @Test("No crew can hold two active periods that overlap, whatever a program does")
    func exclusion() async throws {
        try await Stage.with { stage in
            try await stage.crew()
            try await stage.deliver([stage.report(emergency: true, severity: .high)])
            try await stage.claiming.claimEmergencies()
            var order = try #require(try await stage.orders().first)
            let first = order
            order.orderID = WorkOrder.ID(UUID())
            order.releasedAt = order.assignedAt
            order.state = .withdrawn
            let copy = order
            let error = await #expect(throws: PostgresError.self) {
                try await stage.context.background.segment(
                    try OrderStore.insert([copy]) + [OrderStore.openPeriod(copy, since: first.assignedAt + .seconds(5))]
                )
            }
            #expect(error?.isExclusionViolation(constraint: "crew_period_alone") == true)
        }
    }
}
