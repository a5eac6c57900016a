import Foundation
import Model
import NIOCore
import Outbox
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("The live stream")
struct LiveTests {
    private func sequencer(_ stage: Stage) -> LiveSequencer {
        LiveSequencer(
            database: stage.context.background, wake: Wake(), now: stage.context.sources.now, pause: .zero,
            interval: .seconds(1), logger: stage.context.logger)
    }

    @Test("A row that commits late gets its number after those that were numbered before it")
    func lateCommit() async throws {
        try await Stage.with { stage in
            let sequencer = sequencer(stage)
            let late = stage.context.sources.randomUUID(stage.context.sources.now() - .seconds(5))
            // As superuser, whose transactions may idle.
            try await stage.admin.run(
                """
                BEGIN;
                INSERT INTO dispatch.live_event (id, district_id, responsible_district_id, at, kind, body)
                VALUES ('\(late)', '\(stage.district)', '\(stage.district)', now(), 'late', '{}')
                """)
            try await stage.deliver([stage.report()])
            #expect(try await sequencer.number() == 1)
            try await stage.admin.run("COMMIT")
            #expect(try await sequencer.number() == 1)
            let rows = try await stage.context.background.query(
                "SELECT kind FROM dispatch.live_event ORDER BY seq")
            #expect(try rows.column(String.self) == ["case.opened.v1", "late"])
        }
    }

    @Test("Two instances that number at once number each row once")
    func twice() async throws {
        try await Stage.with { stage in
            for index in 0..<10 {
                try await stage.deliver([stage.report(at: ClaimingTests.north(Double(index) * 300))])
            }
            let sequencer = sequencer(stage)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 { group.addTask { try await sequencer.number() } }
                for try await _ in group {}
            }
            try await sequencer.number()
            #expect(try await stage.count("SELECT count(DISTINCT seq) FROM dispatch.live_event") == 10)
        }
    }

    @Test("A client that comes back misses nothing and sees only its districts")
    func stream() async throws {
        try await Stage.with { stage in
            let hub = stage.service.hub
            let running = Task { try await hub.run() }
            defer { running.cancel() }
            while hub.subscribe(scope: .none, until: stage.context.sources.now()) == nil {
                try await Task.sleep(for: .milliseconds(10))
            }
            try await stage.deliver([stage.report()])
            try await stage.deliver([stage.report(district: stage.otherDistrict)])
            try await stage.deliver([stage.report(at: ClaimingTests.north(1_000))])
            let sequencer = sequencer(stage)
            try await sequencer.number()
            let rows = try await stage.context.background.query(LiveStore.after(0, limit: 10), scope: .all)
            let messages = try rows.map { try LiveMessage($0) }
            #expect(messages.count == 3)
            let scope = DistrictScope.districts([stage.district.rawValue])
            #expect(messages.map { $0.isVisible(in: scope) } == [true, false, true])
            // The reader's own role and scope see the same.
            let own = try await stage.context.http.query(LiveStore.after(0, limit: 10), scope: scope)
            #expect(own.count == 2)
            #expect(String(buffer: messages[0].frame).contains("event: case.opened.v1\ndata: {\"at\":"))
        }
    }
}
