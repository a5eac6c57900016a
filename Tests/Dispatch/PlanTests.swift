import Foundation
import Model
import Postgres
import PrivateServers
import Rules
import ServiceKit
import Testing

@testable import DispatchService
@testable import Outbox

/// Each query of a big table, explained as the role that runs it and under the scope that it runs in.
@Suite("Plans on big tables", .serialized, .timeLimit(.minutes(5)))
struct PlanTests {
    /// What the statements are about: some case in the middle, with all that belongs to it.
    private struct Sample {
        let city: BigCity
        let caseID: Case.ID
        let order: WorkOrder.ID
        let crew: Crew.ID
        let now: Timestamp
        let district = BigCity.district(3)

        init(_ city: BigCity) async throws {
            self.city = city
            let which =
                "FROM dispatch.work_order WHERE district_id = '\(BigCity.district(3))' AND released_at IS NULL LIMIT 1"
            caseID = Case.ID(try await city.one("SELECT case_id \(which)"))
            order = WorkOrder.ID(try await city.one("SELECT order_id \(which)"))
            crew = Crew.ID(try await city.one("SELECT crew_id \(which)"))
            now = city.stage.context.sources.now()
        }

        var place: Coordinate { Coordinate(lon: 114.1, lat: 22.55) }

        func filter(_ change: (inout CaseFilter) -> Void = { _ in }) -> CaseFilter {
            var filter = CaseFilter(districts: [district.rawValue], limit: 51)
            change(&filter)
            return filter
        }
    }

    @Test("the lists of cases and orders, in a district and in the city")
    func lists() async throws {
        try await BigCity.with(.dispatch) { city in
            let sample = try await Sample(city)
            let street = Street.ID(BigCity.id("5", 13))
            let community = Community.ID(BigCity.id("c", 13))
            let narrow: [CaseFilter] = [
                sample.filter(), sample.filter { $0.states = [.filed] }, sample.filter { $0.emergency = true },
                sample.filter { $0.street = street }, sample.filter { $0.community = community },
                sample.filter { $0.category = "flooding" }, sample.filter { $0.since = sample.now - .seconds(86_400) },
                sample.filter { $0.overdue = true }, sample.filter { $0.crew = sample.crew },
                sample.filter { $0.box = (114.0, 22.5, 114.05, 22.55) },
                sample.filter { $0.after = (sample.now - .seconds(86_400 * 30), sample.caseID.rawValue) },
            ]
            let districts = [sample.district.rawValue]
            let ofDistrict =
                narrow.map { CaseStore.list($0, now: sample.now) } + [
                    OrderStore.list(OrderFilter(districts: districts, limit: 51)),
                    OrderStore.list(OrderFilter(districts: districts, open: true, limit: 51)),
                    OrderStore.list(OrderFilter(crew: sample.crew, districts: districts, open: true, limit: 51)),
                    OrderStore.list(OrderFilter(crew: sample.crew, districts: districts, limit: 51)),
                    CrewRegister.list(districts: districts, crew: nil, onShift: true, after: nil, limit: 51),
                    CrewScope.find(Account.ID(BigCity.id("a", 13))),
                ]
            let http = city.stage.context.http
            try expectGoodPlans(
                try await city.plans(of: ofDistrict, on: http, scope: .districts(districts)), of: ofDistrict.count,
                in: city, role: "sluice_dispatch_http")
            // Somebody of the whole city, each of its ten districts by an index of its own; a rare wish may walk a district.
            let ofCity =
                narrow.map { filter in
                    var filter = filter
                    filter.districts = nil
                    return CaseStore.list(filter, now: sample.now)
                } + [
                    OrderStore.list(OrderFilter(limit: 51)),
                    OrderStore.list(OrderFilter(crew: sample.crew, open: true, limit: 51)),
                ]
            try expectGoodPlans(
                try await city.plans(of: ofCity, on: http, scope: .city), of: ofCity.count, in: city,
                role: "sluice_dispatch_http", limit: 45_000)
        }
    }

    @Test("one case with everything about it, and what a person does to it")
    func oneCase() async throws {
        try await BigCity.with(.dispatch) { city in
            let sample = try await Sample(city)
            let http = city.stage.context.http
            let scope = DistrictScope.districts([sample.district.rawValue])
            let record = try await http.query(CaseStore.read([sample.caseID]), scope: scope).first.map(CaseRecord.init)
            var changed = try #require(record)
            changed.version += 1
            changed.severity = .high
            let orders = try await http.query(OrderStore.openOrders(of: [sample.caseID]), scope: scope)
            var order = try OrderRecord(#require(orders.first))
            order.version += 1
            let statements =
                try CaseDetail.statements(sample.caseID, crew: nil)
                + CaseDetail.statements(sample.caseID, crew: sample.crew)
                + [
                    CaseReports.isSeen(sample.caseID, crew: sample.crew),
                    CaseReports.page(sample.caseID, after: nil, limit: 51),
                    CaseReports.page(sample.caseID, after: (sample.now, sample.caseID.rawValue), limit: 51),
                    CaseStore.lock([sample.caseID]), CaseStore.lockCase(of: sample.order, crew: sample.crew),
                    CaseStore.lockActive(of: sample.crew),
                    CaseStore.lockWithDisplaced(sample.caseID, crew: sample.crew),
                    OrderStore.one(sample.order, crew: nil), OrderStore.lock([sample.order]),
                    OrderStore.lockActive(of: sample.crew), OrderStore.lockOpen(of: [sample.caseID]),
                    OrderStore.closePeriod(sample.order, at: sample.now),
                    OrderStore.recentPeriods(of: sample.crew, besides: sample.order),
                    StepStore.known([UUID()], crew: sample.crew), QueueStore.lock([sample.caseID]),
                    QueueStore.remove([sample.caseID]),
                    QueueStore.raise(sample.caseID, severity: .high, verifies: true, now: sample.now),
                    ReportStateStore.share(of: sample.caseID, in: sample.caseID),
                    ReportStateStore.moveBack(to: sample.caseID),
                    ReportStateStore.move(from: sample.caseID, to: sample.caseID), DueStore.marks(of: [sample.caseID]),
                    DueStore.withdraw(sample.caseID, .respond, reason: Reason("test", zh: "", en: ""), now: sample.now),
                ] + CaseStore.update([changed]) + OrderStore.update([order]) + DueStore.set([changed])
            try expectGoodPlans(
                try await city.plans(of: statements, on: http, scope: scope), of: statements.count, in: city,
                role: "sluice_dispatch_http")
        }
    }

    @Test("triage, claims, clocks, silence and the live stream")
    func background() async throws {
        try await BigCity.with(.dispatch) { city in
            let sample = try await Sample(city)
            let near: [CaseStore.Neighbourhood] = Cell.touched(by: sample.place, radius: Metres(50)).map {
                ("water", $0, PlaceBox(around: sample.place, radius: Metres(50)))
            }
            let reports = try await city.stage.admin.rows("SELECT report_id FROM dispatch.report_state LIMIT 100")
                .compactMap { $0[0].flatMap { Report.ID($0) } }
            let statements =
                [
                    CaseStore.neighbours(near), OrderStore.openOrders(near: near), ReportStateStore.decided(reports),
                    CaseStore.read([sample.caseID]), CaseStore.lock([sample.caseID]),
                    CaseStore.withOtherLevel(.red, district: sample.district, after: nil, limit: 100),
                    QueueStore.lockFree([sample.caseID]), OrderStore.openOrders(of: [sample.caseID]),
                    OrderStore.unanswered(emergency: true, before: sample.now, limit: 100),
                    OrderStore.unanswered(emergency: false, before: sample.now, limit: 100),
                    OrderStore.listed(of: sample.crew, limit: 50), DueStore.ripe(now: sample.now, limit: 100),
                    LiveStore.number(limit: 500), LiveStore.after(19_000, limit: 500), LiveStore.bounds,
                    LiveStore.purge(before: sample.now - .seconds(86_400 * 200), limit: 1_000),
                    CrewStore.withListsToClear, CrewStore.lockSlots([sample.crew]), CrewStore.offers([sample.crew]),
                    SignalStore.oldestWaiting,
                    "SELECT dispatch.purge_canaries(clock_timestamp() - interval '2 minutes')",
                ] + DueStore.dropOrphans([sample.caseID]) + CanaryStore.finish
            let background = city.stage.context.background
            try expectGoodPlans(
                try await city.plans(of: statements, on: background, scope: .all), of: statements.count, in: city,
                role: "sluice_dispatch_bg")
            // With a thousand crews, and a queue of twenty thousand.
            let claims = [
                QueueStore.firstEmergencies(passingOver: []),
                QueueStore.firstCanaries,
                QueueStore.routineHead(limit: 200, passingOver: []),
            ]
            try expectGoodPlans(
                try await city.plans(
                    of: claims, before: [QueueStore.pinnedPlans], on: city.stage.context.lane, scope: .all),
                of: claims.count, in: city, role: "sluice_dispatch_bg", limit: 6_000)
        }
    }

    @Test("the messaging tables: relay, inbox, retries, healing")
    func messaging() async throws {
        try await BigCity.with(.dispatch) { city in
            let lease = UUID()
            let event = try await city.one("SELECT id FROM dispatch.outbox WHERE attempt = 0 LIMIT 1")
            let key = InboxKey(
                source: "intake", eventID: try await city.one("SELECT event_id FROM dispatch.inbox LIMIT 1"))
            let outbox = RoutineOutbox(service: .dispatch)
            let emergency = EmergencyOutbox(service: .dispatch)
            let inbox = Inbox(service: .dispatch, consumer: "dispatch.routine", version: "1")
            let pinned = [
                outbox.claimUnsent(limit: 100, after: UUID(), lease: lease, for: .seconds(60)),
                outbox.claimExpired(limit: 100, lease: lease, for: .seconds(60)),
                outbox.confirmed([event], lease: lease),
                outbox.unknown([event], lease: lease, after: .seconds(1)),
                outbox.refused(event, reason: "test", lease: lease), outbox.released([event], lease: lease),
            ]
            let statements =
                [
                    emergency.claimUnsent(limit: 100, lease: lease, for: .seconds(60)),
                    emergency.claimExpired(limit: 100, lease: lease, for: .seconds(60)), emergency.deleteDone(),
                    try #require(emergency.markConsumed()), inbox.insertNew([key], locks: .none), inbox.forget([key]),
                    inbox.claimDue(limit: 20), inbox.failedAgain(key, failure: "test"),
                    "SELECT dispatch.rotate_outbox()",
                    "SELECT dispatch.purge_canary_events(clock_timestamp() - interval '2 minutes')",
                ] + inbox.forgetTries(of: [key])
            let background = city.stage.context.background
            let plans =
                try await city.plans(of: pinned, before: [RoutineOutbox.pinnedPlans], on: background, scope: .all)
                + city.plans(of: statements, on: background, scope: .all)
                + city.plans {
                    _ = try await Healer(service: .dispatch, database: background).reconcile(
                        city.stage.context.sources.now() - .seconds(86_400)..<city.stage.context.sources.now(),
                        announcing: false)
                }
            try expectGoodPlans(plans, of: pinned.count + statements.count, in: city, role: "sluice_dispatch_bg")
            // Counted up to a bound in each of the ten districts.
            let look = try await city.plans { _ = try await OutboxState.look(at: .dispatch, in: background) }
            #expect(look.faults(big: city.bigTables, limit: 10 * OutboxState.countedTo).isEmpty)
            // The events of a claim are looked up by id: only in the months that they are of.
            let claims = plans.filter { $0.statement.contains("waiting AS") }
            #expect(!claims.isEmpty)
            #expect(claims.allSatisfy { plan in plan.tables.count { $0.hasPrefix("dispatch.history") } <= 2 })
        }
    }
}
