import Foundation
import Model
import Outbox
import Postgres
import PrivateServers
import Schema
import ServiceKit
import Testing

@testable import ScoringService

@Suite("The evidence ledger", .serialized)
struct LedgerTests {
    private static let district = District.ID(UUID())
    private static let street = Street.ID(UUID())

    private static func event(
        _ type: EventType, _ facts: CaseSnapshot, id: EventRecord.ID, at time: Timestamp
    ) throws -> Event {
        Event(
            id: id, source: .dispatch, type: type, time: time, district: facts.districtID,
            aggregateID: facts.caseID.rawValue, aggregateVersion: facts.version, lane: .routine,
            data: Array(try JSONEncoder().encode(facts)))
    }

    private static func facts(
        _ id: Case.ID, _ version: Int, _ state: CaseState, opened: Timestamp, responded: Timestamp? = nil,
        resolved: Timestamp? = nil, district: District.ID = district
    ) -> CaseSnapshot {
        CaseSnapshot(
            caseID: id, version: version, districtID: district, responsibleDistrictID: district, streetID: street,
            kind: .hazard, category: "flooding", emergency: false, verified: true, severity: .normal, state: state,
            place: Coordinate(lon: 114, lat: 22.5), openedAt: opened, respondDue: opened + .seconds(600),
            resolveDue: opened + .seconds(3600), respondedAt: responded, resolvedAt: resolved)
    }

    /// Three versions of one case, as dispatch would have announced them.
    private static func story(_ stage: ServiceStage, at opened: Timestamp) throws -> [Event] {
        let id = Case.ID(stage.context.sources.randomUUID(opened))
        func event(_ type: EventType, _ facts: CaseSnapshot) throws -> Event {
            try Self.event(
                type, facts, id: EventRecord.ID(stage.context.sources.randomUUID(opened)), at: opened)
        }
        return [
            try event(.caseOpened, facts(id, 1, .filed, opened: opened)),
            try event(.caseChanged, facts(id, 2, .handling, opened: opened, responded: opened + .seconds(60))),
            try event(
                .caseClosed,
                facts(
                    id, 3, .closed, opened: opened, responded: opened + .seconds(60), resolved: opened + .seconds(900))),
        ]
    }

    private static func effects(of event: Event) throws -> [SQL] {
        try LedgerHandler().decide([event], plan: (), rows: [], now: event.time).writes
    }

    private func deliver(_ events: [Event], to stage: ServiceStage) async throws {
        for event in events {
            _ = try await stage.context.background.segment(try Self.effects(of: event))
        }
    }

    private func figure(_ stage: ServiceStage, month: String, districts: [UUID]? = nil) async throws -> [Int] {
        let row = try await stage.context.background.query(
            IndicatorStore.figure(
                .init(level: nil, id: nil, month: month, timeZone: "Asia/Shanghai", districts: districts, kinds: nil)))[
                0]
        let (inTime, late, pending, excluded) = try row.decode((Int, Int, Int, Int).self)
        return [inTime, late, pending, excluded]
    }

    private static let march = Timestamp("2026-03-15T04:00:00Z") ?? Timestamp(microseconds: 0)

    @Test("any order and any repeat of the events gives the same figure")
    func orderAndRepeats() async throws {
        try await ServiceStage.with(.scoring) { stage in
            let events = try Self.story(stage, at: Self.march)
            try await deliver([events[2], events[0], events[1], events[2], events[0]], to: stage)
            #expect(try await figure(stage, month: "2026-03") == [1, 0, 0, 0])
            let rows = try await stage.context.background.query(
                "SELECT count(*)::int FROM scoring.evidence WHERE event_id <> sluice.city()")
            #expect(try rows.column(Int.self) == [3])
        }
    }

    @Test("a case that is open counts on neither side until its clock has run out")
    func pending() async throws {
        try await ServiceStage.with(.scoring) { stage in
            let now = stage.context.sources.now()
            let month = try await stage.context.background.query(
                CalendarStore.month(of: now, timeZone: "Asia/Shanghai"))[0].decode("month", as: String.self)
            let fresh = Case.ID(stage.context.sources.randomUUID(now))
            try await deliver(
                [
                    try Self.event(
                        .caseOpened, Self.facts(fresh, 1, .filed, opened: now),
                        id: EventRecord.ID(stage.context.sources.randomUUID(now)), at: now)
                ], to: stage)
            #expect(try await figure(stage, month: month) == [0, 0, 1, 0])
            try await deliver([try Self.story(stage, at: Self.march)[0]], to: stage)
            #expect(try await figure(stage, month: "2026-03") == [0, 1, 0, 0])
        }
    }

    @Test("a suspended case is pending however long it stands, in every figure, and goes on when it is resumed")
    func suspended() async throws {
        try await ServiceStage.with(.scoring) { stage in
            let id = Case.ID(stage.context.sources.randomUUID(Self.march))
            func deliver(_ facts: CaseSnapshot) async throws {
                try await self.deliver(
                    [
                        try Self.event(
                            .caseChanged, facts, id: EventRecord.ID(stage.context.sources.randomUUID(Self.march)),
                            at: Self.march)
                    ], to: stage)
            }
            // Both clocks would have run out long since.
            var facts = Self.facts(id, 2, .suspended, opened: Self.march)
            facts.suspendedAt = Self.march + .seconds(60)
            try await deliver(facts)
            #expect(try await figure(stage, month: "2026-03") == [0, 0, 1, 0])

            let march = IndicatorStore.Selection(
                level: nil, id: nil, month: "2026-03", timeZone: "Asia/Shanghai", districts: nil, kinds: nil)
            let parts = try await stage.context.background.query(IndicatorStore.breakdown(march, into: .district))
            #expect(try parts.map { try $0.decode("late", as: Int.self) } == [0])
            #expect(try parts.map { try $0.decode("pending", as: Int.self) } == [1])
            let cases = try await stage.context.background.query(
                IndicatorStore.cases(march, verdict: "pending", before: nil, limit: 10))
            #expect(try cases.map { try $0.decode("late_at", as: Timestamp?.self) } == [nil])

            facts.version = 3
            facts.state = .handling
            facts.suspendedAt = nil
            try await deliver(facts)
            #expect(try await figure(stage, month: "2026-03") == [0, 1, 0, 0])
        }
    }

    @Test("a ledger from before the clocks stood still is as if rebuilt once it is migrated")
    func migrated() async throws {
        try await ServiceStage.with(.scoring) { stage in
            let story = try Self.story(stage, at: Self.march)
            let suspended = Self.facts(
                Case.ID(stage.context.sources.randomUUID(Self.march)), 2, .suspended, opened: Self.march)
            let event = try Self.event(
                .caseChanged, suspended, id: EventRecord.ID(stage.context.sources.randomUUID(Self.march)),
                at: Self.march)
            try await deliver([story[0], event], to: stage)
            func rows() async throws -> [[String?]] {
                try await stage.admin.rows(
                    "SELECT state, late_at::text, rule_version FROM scoring.case_fact ORDER BY 1")
            }
            let asRebuilt = try await rows()
            try await stage.admin.run("UPDATE scoring.case_fact SET rule_version = 1, late_at = respond_due")
            #expect(try await rows() != asRebuilt)
            let file = try MigrationFile.shipped().first { $0.name.hasPrefix("0043_scoring") }
            try await stage.admin.run(try #require(file).sql)
            #expect(try await rows() == asRebuilt)
        }
    }

    @Test("months are those of the city's calendar")
    func monthBounds() async throws {
        try await ServiceStage.with(.scoring) { stage in
            // Already April in Shenzhen, still March in UTC.
            let night = try #require(Timestamp("2026-03-31T16:30:00Z"))
            try await deliver(try Self.story(stage, at: night), to: stage)
            #expect(try await figure(stage, month: "2026-03") == [0, 0, 0, 0])
            #expect(try await figure(stage, month: "2026-04") == [1, 0, 0, 0])
        }
    }

    @Test("another district's cases are not counted")
    func districts() async throws {
        try await ServiceStage.with(.scoring) { stage in
            try await deliver(try Self.story(stage, at: Self.march), to: stage)
            #expect(try await figure(stage, month: "2026-03", districts: [UUID()]) == [0, 0, 0, 0])
            // Row-level security says the same without the query's help.
            let seen = try await stage.context.http.query(
                "SELECT count(*)::int FROM scoring.case_fact", scope: .districts([UUID()]))
            #expect(try seen.column(Int.self) == [0])
        }
    }

    @Test("catching up reads what the queue dropped, and a rebuild equals the live ledger")
    func catchUpAndRebuild() async throws {
        try await ServiceStage.with(.scoring) { stage in
            let events = try Self.story(stage, at: Self.march)
            // As dispatch's transactions would have written them.
            for event in events {
                try await stage.admin.run(
                    """
                    INSERT INTO dispatch.history (id, aggregate, aggregate_id, version, type, district_id, lane, actor,
                                                  occurred_at, body)
                    VALUES ('\(event.id)', 'case', '\(Identifier<Event>(event.aggregateID))', \(event.aggregateVersion),
                            '\(event.type.rawValue)', '\(event.district)', 'r', 'test', '\(event.time)',
                            '\(String(decoding: event.data, as: UTF8.self))'::jsonb)
                    """)
            }
            // One of the three came by the queue.
            try await deliver([events[1]], to: stage)
            let ledger = Ledger(database: stage.context.background)
            // It reads up to the oldest transaction of the server, which may be some other test's.
            var read = 0
            for _ in 0..<1_200 where read < 3 {
                read += try await ledger.catchUp()
                if read < 3 { try await Task.sleep(for: .milliseconds(25)) }
            }
            #expect(read == 3)
            #expect(try await figure(stage, month: "2026-03") == [1, 0, 0, 0])
            let comparison = try await ledger.compare()
            #expect(comparison.isEqual, "\(comparison.differences)")
            #expect(comparison.live == 3)
            #expect(comparison.rebuiltCases == 1)
            // Nothing new: the marks stand.
            #expect(try await ledger.catchUp() == 0)
        }
    }

    @Test("a comparison names what differs")
    func comparisonNames() async throws {
        try await ServiceStage.with(.scoring) { stage in
            // Live only: no history knows of it.
            try await deliver([try Self.story(stage, at: Self.march)[0]], to: stage)
            let comparison = try await Ledger(database: stage.context.background).compare()
            #expect(Set(comparison.differences.map(\.whereFound)) == ["only live"])
            #expect(comparison.differences.count == 2)
        }
    }

    @Test("a body that is none is poison")
    func poison() throws {
        let event = Event(
            id: Identifier(UUID()), source: .dispatch, type: .caseOpened, time: Self.march, district: Self.district,
            aggregateID: UUID(), aggregateVersion: 1, lane: .routine, data: Array("{}".utf8))
        #expect(throws: Poison.self) { try Self.effects(of: event) }
    }

    @Test("the canary's events are not asked for")
    func canaries() {
        #expect(LedgerHandler().dropsCanaries)
    }
}

@Suite("The routes of scoring")
struct ScoringDocumentTests {
    @Test("are all described")
    func described() async throws {
        try await ServiceStage.with(.scoring) { stage in
            let (router, document) = ScoringService(stage.context).routes()
            #expect(document.differences(from: router) == [])
        }
    }

    @Test(
        "months have one form",
        arguments: [
            ("2026-07", true), ("2026-12", true), ("2026-13", false), ("2026-00", false), ("26-07", false),
            ("2026-7", false), ("2026-07-01", false), ("１２３４-05", false), ("", false), ("1999-01", false),
        ])
    func months(text: String, isMonth: Bool) {
        #expect(CityCalendar.isMonth(text) == isMonth)
    }
}
