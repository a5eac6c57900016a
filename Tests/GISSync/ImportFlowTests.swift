import Foundation
import Model
import Outbox
import Postgres
import PrivateServers
import ServiceKit
import Synchronization
import Testing

@testable import GISSyncService

@Suite("Imports give way to the emergency lane", .serialized, .timeLimit(.minutes(5)))
struct ImportFlowTests {
    /// The rests that an import asked for. Nobody really rests.
    private final class Rests: Sendable {
        private let durations = Mutex<[Duration]>([])

        var all: [Duration] { durations.withLock { $0 } }

        func add(_ duration: Duration) { durations.withLock { $0.append(duration) } }
    }

    /// Three chunks.
    private static let features = (1...1_200).map { Survey.feature("\($0)") }

    private static func importer(_ stage: ServiceStage, _ rests: Rests) async throws -> FeatureImporter {
        _ = try await Survey.prepare(stage)
        var importer = FeatureImporter(
            database: stage.context.background, messaging: stage.context.messaging, flow: stage.context.flow)
        importer.rest = { rests.add($0) }
        return importer
    }

    private static func worker(_ importer: FeatureImporter, _ stage: ServiceStage) -> ImportWorker {
        ImportWorker(importer: importer, database: stage.context.background, logger: stage.context.logger)
    }

    @Test("under pressure the worker rests between chunks, and not behind the last")
    func pressed() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let rests = Rests()
            let importer = try await Self.importer(stage, rests)
            let id = try await Survey.started(importer, Self.features, stage)
            for _ in 0..<10 { stage.context.flow.observe(pressure: 1) }
            try await Self.worker(importer, stage).carryOn()
            #expect(rests.all.count == 2)
            #expect(rests.all.allSatisfy { $0 > .zero })
            #expect(try await importer.run(id) == ImportCounts(read: 1_200, added: 1_200))
        }
    }

    @Test("while the lane is calm it does not rest")
    func calm() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let rests = Rests()
            let importer = try await Self.importer(stage, rests)
            _ = try await Survey.started(importer, Self.features, stage)
            stage.context.flow.observe(pressure: 0)
            try await Self.worker(importer, stage).carryOn()
            #expect(rests.all == [.zero, .zero])
        }
    }

    @Test("a stop ends a rest, and the run goes on where it was")
    func stopped() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            var importer = try await Self.importer(stage, Rests())
            let id = try await Survey.started(importer, Self.features, stage)
            let (resting, begun) = AsyncStream.makeStream(of: Void.self)
            importer.rest = { _ in
                begun.yield()
                try await Task.sleep(for: .seconds(86_400))
            }
            let worker = Self.worker(importer, stage)
            let working = Task { try await worker.carryOn() }
            for await _ in resting { break }
            working.cancel()
            await #expect(throws: CancellationError.self) { try await working.value }
            #expect(try await Survey.end(id, stage).state == "running")
            importer.rest = { _ in }
            #expect(try await importer.run(id) == ImportCounts(read: 1_200, added: 1_200))
        }
    }

    @Test("who imports without a service follows the lane by itself")
    func byItself() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let rests = Rests()
            var importer = try await Survey.prepare(stage)
            let flow = importer.flow
            #expect(flow !== stage.context.flow)
            // A reading from the future stays fresh however slow the test is.
            try await stage.admin.run(
                """
                INSERT INTO dispatch.lane_signal (instance, pressure, worst_ms, oldest_ms, measured_at)
                VALUES ('test', 1, 0, 0, clock_timestamp() + interval '1 day')
                """)
            importer.rest = { duration in
                rests.add(duration)
                // The first chunk may have been quicker than the first reading.
                while flow.share == 1 { try await Task.sleep(for: .milliseconds(5)) }
            }
            let id = try await Survey.started(importer, Self.features, stage)
            #expect(try await importer.run(id) == ImportCounts(read: 1_200, added: 1_200))
            let last = try #require(rests.all.last)
            #expect(last > .zero)
        }
    }

    @Test("the service's own imports follow what the service follows")
    func wiring() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            #expect(GISSyncService(stage.context).importer.flow === stage.context.flow)
        }
    }
}
