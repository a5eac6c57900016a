import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import GISSyncService

@Suite("Carrying imports on", .serialized)
struct ImportRunTests {
    private static func features(_ ids: ClosedRange<Int>) -> [String] { ids.map { Survey.feature("\($0)") } }
    /// For the other district: ids are a source's, whichever the district.
    private static let others = features(2_001...2_040)

    @Test("who runs an import waits while somebody else is at it, and answers with the counts of the whole")
    func twoAtOneRun() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let id = try await Survey.started(importer, Self.features(1...1_200), stage)
            // The service's worker has done the first chunk and is at the second.
            #expect(try await importer.runChunk(id)?.doneThrough == FeatureImporter.chunk)
            try await stage.admin.run("BEGIN; SELECT FROM gis.import WHERE import_id = '\(id)' FOR UPDATE")

            let (looks, look) = AsyncStream.makeStream(of: Int.self)
            let running = Task {
                defer { look.finish() }
                return try await importer.run(id) { done, _ in look.yield(done) }
            }
            // Its first look has found the row locked, or it has ended too early.
            var first: Int?
            for await done in looks {
                first = done
                break
            }
            try await stage.admin.run("COMMIT")
            #expect(try await running.value == ImportCounts(read: 1_200, added: 1_200))
            #expect(first == FeatureImporter.chunk)
        }
    }

    @Test("a run that is over is answered with its counts, and one that never was is unknown")
    func over() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let id = try await Survey.started(importer, Self.features(1...3), stage)
            #expect(try await importer.run(id) == ImportCounts(read: 3, added: 3))
            #expect(try await importer.run(id) == ImportCounts(read: 3, added: 3))
            await #expect(throws: FeatureImporter.Failure.unknownRun) { try await importer.run(UUID()) }
        }
    }

    @Test("a row that the database does not take is refused alone, and the next run is not kept waiting")
    func poisonedRow() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            // What no check of the importer foresees.
            try await stage.admin.run("ALTER TABLE gis.facility ADD CONSTRAINT poison CHECK (source_id <> '700')")
            let poisoned = try await Survey.started(importer, Self.features(1...1_200), stage)
            let good = try await Survey.started(importer, Self.others, stage, district: Survey.otherDistrict)
            try await worker(importer, stage).carryOn()
            #expect(try await importer.run(poisoned) == ImportCounts(read: 1_200, added: 1_199, refused: 1))
            #expect(try await Survey.issues(poisoned, stage) == [["700", "refused", "unwritable"]])
            #expect(try await Survey.end(good, stage).state == "done")
            #expect(try await importer.run(good) == ImportCounts(read: 40, added: 40))
        }
    }

    @Test("a run of which the database takes nothing ends as failed, and the next one goes through")
    func poisonedRun() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            try await stage.admin.run(
                "ALTER TABLE gis.facility ADD CONSTRAINT poison CHECK (district_id <> '\(Survey.district)')")
            let poisoned = try await Survey.started(importer, Self.features(1...100), stage)
            let good = try await Survey.started(importer, Self.others, stage, district: Survey.otherDistrict)
            try await worker(importer, stage).carryOn()
            let end = try await Survey.end(poisoned, stage)
            #expect(end.state == "failed")
            #expect(end.error?.contains("poison") == true)
            #expect(try await importer.run(good) == ImportCounts(read: 40, added: 40))
        }
    }

    @Test("a run that cannot be read stays, and the next one goes through")
    func unreadableRun() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let unreadable = try await Survey.started(importer, Self.features(1...1), stage)
            let good = try await Survey.started(importer, Self.others, stage, district: Survey.otherDistrict)
            try await stage.admin.run("UPDATE gis.import SET profile = '{}' WHERE import_id = '\(unreadable)'")
            try await worker(importer, stage).carryOn()
            #expect(try await Survey.end(unreadable, stage).state == "running")
            #expect(try await Survey.end(good, stage).state == "done")
        }
    }

    private func worker(_ importer: FeatureImporter, _ stage: ServiceStage) -> ImportWorker {
        ImportWorker(importer: importer, database: stage.context.background, logger: stage.context.logger)
    }
}
