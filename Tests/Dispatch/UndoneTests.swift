import Foundation
import Model
import Outbox
import Postgres
import Rules
import ServiceKit
import Synchronization
import Testing

@testable import DispatchService

/// What was refused, undone or taken back must leave nothing behind.
@Suite("What is refused or undone")
struct UndoneTests {
    private struct Scene: Sendable {
        var stage: Stage
        var caller: Caller
        var crew: Crew.ID
        var crewToken: String
        var token: String

        func record(_ id: Case.ID) async throws -> CaseRecord {
            try #require(try await stage.cases().first { $0.caseID == id })
        }

        func act(_ name: String, _ id: Case.ID, _ fields: String = "") async throws -> Answer {
            try await caller.post(
                "/v1/cases/\(id)/\(name)", token, "{\(fields)\(fields.isEmpty ? "" : ",")\"reason\":\"because\"}",
                version: try await record(id).version)
        }

        func steps(_ kinds: [String], of order: OrderRecord) async throws -> Answer {
            try await caller.post(
                "/v1/orders/\(order.orderID)/steps", crewToken, Steps.body(kinds.map { Steps.step($0) }))
        }

        func file(_ metres: Double, emergency: Bool = false) async throws -> Case.ID {
            let before = Set(try await stage.cases().map(\.caseID))
            try await stage.deliver([stage.report(at: ClaimingTests.north(metres), emergency: emergency)])
            return try #require(try await stage.cases().first { !before.contains($0.caseID) }).caseID
        }

        func reports(of id: Case.ID) async throws -> Int {
            try await stage.count("SELECT count(*) FROM dispatch.report_state WHERE case_id = \(id)")
        }
    }

    private func scene(_ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        try await Stage.with { stage in
            let account = Account.ID(UUID())
            let crew = try await stage.crew(account: account)
            let (crewToken, token) = (try stage.token([.crew], account: account), try stage.token([.dispatcher]))
            try await stage.serving { caller in
                try await body(
                    Scene(stage: stage, caller: caller, crew: crew, crewToken: crewToken, token: token))
            }
        }
    }

    // MARK: - Steps

    @Test("A refused \"done\" stops no clock")
    func refusedDone() async throws {
        try await scene { scene in
            let id = try await scene.file(100, emergency: true)
            try await scene.stage.claiming.claimEmergencies()
            let order = try #require(try await scene.stage.orders().first)
            let answer = try await scene.steps(["done"], of: order)
            #expect(answer.string("steps.0.outcome") == "contradicting", "\(answer.text)")
            let record = try await scene.record(id)
            #expect(record.times.met.isEmpty)
            #expect(try await scene.stage.orders().first?.doneAt == nil)
            #expect(try await scene.stage.count("SELECT count(*) FROM dispatch.due WHERE clock = 'respond'") == 1)
        }
    }

    @Test("What a finished order tells late is not about the case that was taken up again")
    func lateAboutAnEarlierRound() async throws {
        try await scene { scene in
            let id = try await scene.file(100, emergency: true)
            try await scene.stage.claiming.claimEmergencies()
            let order = try #require(try await scene.stage.orders().first)
            let done = try await scene.steps(["accept", "en_route", "done"], of: order)
            #expect(done.string("order.state") == "done", "\(done.text)")
            let refuted = try await scene.act("verify", id, "\"passed\":false")
            #expect(refuted.status == 200, "\(refuted.text)")
            #expect(try await scene.stage.claiming.claimEmergencies() == 1)
            let late = try await scene.steps(["on_site"], of: order)
            #expect(late.string("steps.0.outcome") == "late", "\(late.text)")
            #expect(try await scene.record(id).arrivedAt == nil)
            #expect(try await scene.stage.orders().first { $0.orderID == order.orderID }?.onSiteAt != nil)
        }
    }

    // MARK: - Merges

    @Test("A merge is undone also while the target's crew is at work")
    func unmergeBesideCrew() async throws {
        try await scene { scene in
            let (target, source) = (try await scene.file(100, emergency: true), try await scene.file(900))
            #expect(try await scene.stage.claiming.claimEmergencies() == 1)
            #expect(try await scene.act("merge", source, "\"into\":\"\(target)\"").status == 200)
            let undone = try await scene.act("unmerge", source)
            #expect(undone.status == 200, "\(undone.text)")
            #expect(try await scene.record(target).orderID != nil)
            #expect(try await scene.stage.slot(scene.crew).job != nil)
            #expect(try await scene.reports(of: source) == 1)
        }
    }

    @Test("Reports come back from a target that was rejected, and from the end of a chain")
    func unmergeFromAfar() async throws {
        try await scene { scene in
            let (first, second, third) = (
                try await scene.file(100), try await scene.file(900), try await scene.file(1_800)
            )
            #expect(try await scene.act("merge", first, "\"into\":\"\(second)\"").status == 200)
            #expect(try await scene.act("merge", second, "\"into\":\"\(third)\"").status == 200)
            #expect(try await scene.reports(of: third) == 3)
            #expect(try await scene.act("unmerge", first).status == 200)
            #expect(try await scene.reports(of: first) == 1)
            #expect(try await scene.record(third).reportCount == 2)
            #expect(try await scene.act("reject", third).status == 200)
            #expect(try await scene.act("unmerge", second).status == 200)
            #expect(try await scene.reports(of: second) == 1)
            #expect(try await scene.record(second).state == .filed)
            #expect(try await scene.record(third).state == .rejected)
            #expect(try await scene.record(third).reportCount == 1)
        }
    }

    // MARK: - The live stream

    @Test("A client that does not keep up is let go, and the service lives")
    func slowClient() async throws {
        try await Stage.with { stage in
            let hub = stage.service.hub
            let running = Task { try await hub.run() }
            defer { running.cancel() }
            let until = stage.context.sources.now() + .seconds(600)
            var subscribed = hub.subscribe(scope: .city, until: until)
            while subscribed == nil {
                try await Task.sleep(for: .milliseconds(10))
                subscribed = hub.subscribe(scope: .city, until: until)
            }
            let stream = try #require(subscribed).stream
            let district = stage.district
            try await stage.admin.run(
                """
                INSERT INTO dispatch.live_event (seq, id, district_id, responsible_district_id, at, kind, body)
                SELECT (SELECT coalesce(max(seq), 0) FROM dispatch.live_event) + i, gen_random_uuid(), '\(district)',
                       '\(district)', now(), 'case.changed.v1', '{}'
                FROM generate_series(1, 1000) i
                """)
            // Nobody reads until it is let go.
            for _ in 0..<1_200 where hub.clientCount > 0 { try await Task.sleep(for: .milliseconds(25)) }
            #expect(hub.clientCount == 0)
            var received = 0
            for await _ in stream { received += 1 }
            #expect(received > 0 && received < 1_000)
        }
    }

    @Test("A stream ends when its token is taken back")
    func revoked() async throws {
        try await Stage.with { stage in
            let hub = stage.service.hub
            let running = Task { try await hub.run() }
            defer { running.cancel() }
            let isRevoked = Mutex(false)
            let until = stage.context.sources.now() + .seconds(600)
            let look: @Sendable () -> Bool = { isRevoked.withLock { $0 } }
            var subscribed = hub.subscribe(scope: .city, until: until, isRevoked: look)
            while subscribed == nil {
                try await Task.sleep(for: .milliseconds(10))
                subscribed = hub.subscribe(scope: .city, until: until, isRevoked: look)
            }
            hub.endOver()
            #expect(hub.clientCount == 1)
            isRevoked.withLock { $0 = true }
            hub.endOver()
            #expect(hub.clientCount == 0)
            for await output in try #require(subscribed).stream {
                guard case .heartbeat = output else { return #expect(Bool(false), "nothing has happened") }
            }
        }
    }
}
