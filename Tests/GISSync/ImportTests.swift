import Foundation
import Model
import Postgres
import PrivateServers
import Rules
import ServiceKit
import Testing

@testable import GISSyncService

@Suite("Importing facilities", .serialized)
struct ImportTests {
    @Test("good rows go in, bad ones say what is wrong, unknown values become null")
    func dirt() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let (counts, issues) = try await Survey.run(
                importer,
                [
                    Survey.feature("1", #","DIAMETER":300,"LENGTH":"52.43","UP":"-1","UP_Z":0"#),
                    Survey.feature("2", #","DIAMETER":0"#), Survey.feature("1"), Survey.feature("null"),
                    Survey.feature("3", geometry: "null"),
                    Survey.feature("4", geometry: #"{"type":"Point","coordinates":[114.1,22.5]}"#),
                    Survey.feature("5", geometry: #"{"type":"LineString","coordinates":[[0,0],[1,1]]}"#),
                ], stage)
            #expect(counts == ImportCounts(read: 7, added: 2, changed: 0, refused: 5))
            #expect(
                issues == [
                    ["1", "repaired", "zero"], ["1", "repaired", "no_node"], ["2", "repaired", "not_positive"],
                    ["3", "refused", "duplicate"], ["4", "refused", "missing"], ["5", "refused", "invalid"],
                    ["6", "refused", "wrong_type"], ["7", "refused", "outside_district"],
                ])
            let row = try await stage.context.background.query(
                "SELECT diameter_mm, length_m, up_node, up_invert_m FROM gis.facility WHERE source_id = '1'")[0]
            #expect(try row.decode("diameter_mm", as: Double?.self) == 300)
            #expect(try row.decode("length_m", as: Double?.self) == 52.43)
            #expect(try row.decode("up_node", as: String?.self) == nil)
            #expect(try row.decode("up_invert_m", as: Double?.self) == nil)
        }
    }

    @Test("the same file again changes nothing and announces nothing; a changed row is one change")
    func again() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let features = (1...1_200).map { Survey.feature("\($0)", #","DIAMETER":300"#) }
            let first = try await Survey.run(importer, features, stage)
            #expect(first.counts.added == 1_200)
            let second = try await Survey.run(importer, features, stage)
            #expect(second.counts == ImportCounts(read: 1_200))
            #expect(second.counts.same == 1_200)
            let third = try await Survey.run(
                importer, Array(features.dropLast()) + [Survey.feature("1200", #","DIAMETER":400"#)], stage)
            #expect(third.counts.changed == 1)
            let announced = try await stage.context.background.query(
                "SELECT count(*)::int FROM gis.history WHERE type = 'facility.changed.v1'")
            #expect(try announced.column(Int.self) == [1_201])
        }
    }

    @Test("a document that ends early leaves nothing behind")
    func cutShort() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let id = stage.context.sources.randomUUID(stage.context.sources.now())
            let whole = Survey.document([Survey.feature("1"), Survey.feature("2")])[0]
            await #expect(throws: FeatureImporter.Failure.unreadable(.endsEarly)) {
                _ = try await importer.stage(
                    id, district: Survey.district, profile: Survey.profile, startedBy: "test",
                    pieces: [Array(whole.dropLast(20))])
            }
            let left = try await stage.context.background.query(
                """
                SELECT (SELECT count(*) FROM gis.import_staging)::int + (SELECT count(*) FROM gis.facility
                        WHERE source = 'survey')::int
                """)
            #expect(try left.column(Int.self) == [0])
        }
    }

    @Test("a run whose staged rows are gone fails with a word on it")
    func stagingLost() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let id = try await Survey.started(importer, [Survey.feature("1"), Survey.feature("2")], stage)
            try await stage.admin.run("TRUNCATE gis.import_staging")
            let failure = await #expect(throws: FeatureImporter.Failure.self) { try await importer.run(id) }
            let end = try await Survey.end(id, stage)
            #expect(end.state == "failed")
            #expect(end.error?.contains("lost") == true)
            // Who waits for the run hears the same.
            #expect(failure == .failed(reason: end.error ?? ""))
            #expect(failure?.problem.detail.contains("lost") == true)
        }
    }

    @Test("another district's facility stays where it is, whatever a file calls its rows")
    func otherDistrict() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let first = try await Survey.run(importer, [Survey.feature("1", #","DIAMETER":300"#)], stage)
            #expect(first.counts.added == 1)
            let second = try await Survey.run(
                importer, [Survey.feature("1", #","DIAMETER":400"#), Survey.feature("2")], stage,
                district: Survey.otherDistrict)
            #expect(second.counts == ImportCounts(read: 2, added: 1, refused: 1))
            #expect(second.issues == [["1", "refused", "other_district"]])
            let row = try await stage.context.background.query(
                "SELECT district_id, diameter_mm, version FROM gis.facility WHERE source_id = '1'")[0]
            #expect(try row.decode("district_id", as: District.ID.self) == Survey.district)
            #expect(try row.decode("diameter_mm", as: Double.self) == 300)
            #expect(try row.decode("version", as: Int.self) == 1)
        }
    }

    @Test("a run needs a district and a source, and nothing is kept of one without")
    func unfit() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            func stageOne(_ district: District.ID, _ profile: ImportProfile) async throws {
                _ = try await importer.stage(
                    stage.context.sources.randomUUID(stage.context.sources.now()), district: district,
                    profile: profile, startedBy: "test", pieces: Survey.document([Survey.feature("1")]))
            }
            // A street's id, and one of nothing.
            for id in [Survey.street, UUID()] {
                await #expect(throws: FeatureImporter.Failure.noDistrict) {
                    try await stageOne(District.ID(id), Survey.profile)
                }
            }
            for source in ["", String(repeating: "x", count: 65)] {
                var profile = Survey.profile
                profile.source = source
                await #expect(throws: FeatureImporter.Failure.unfitSource) {
                    try await stageOne(Survey.district, profile)
                }
            }
            let runs = try await stage.context.background.query("SELECT count(*)::int FROM gis.import")
            #expect(try runs.column(Int.self) == [0])
            // As the API and sluicectl say it.
            #expect(FeatureImporter.Failure.noDistrict.problem.fields.map(\.field) == ["district_id"])
            #expect(FeatureImporter.Failure.unfitSource.problem.fields.map(\.field) == ["source"])
        }
    }

    @Test("ids of more than 64 characters are refused and such nodes left out, never cut")
    func long() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let id = String(repeating: "x", count: 69)
            let (counts, issues) = try await Survey.run(
                importer,
                [
                    Survey.feature(#""\#(id)1""#), Survey.feature(#""\#(id)2""#),
                    Survey.feature("3", #","UP":"\#(id)","DOWN":"\#(id.prefix(64))""#),
                ], stage)
            #expect(counts == ImportCounts(read: 3, added: 1, refused: 2))
            #expect(
                issues == [
                    ["1", "refused", "too_long"], ["2", "refused", "too_long"], ["3", "repaired", "too_long"],
                ])
            let row = try await stage.context.background.query(
                "SELECT source_id, up_node, down_node FROM gis.facility WHERE source = 'survey'")
            #expect(try row.column(String.self) == ["3"])
            #expect(try row[0].decode("up_node", as: String?.self) == nil)
            #expect(try row[0].decode("down_node", as: String?.self) == String(id.prefix(64)))
        }
    }

    @Test("a line that no globe has room for is refused like any other geometry")
    func antipodes() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let (counts, issues) = try await Survey.run(
                importer,
                [
                    Survey.feature("1"),
                    Survey.feature(
                        "2", geometry: #"{"type":"LineString","coordinates":[[114.06,22.54],[-65.94,-22.54]]}"#),
                ], stage)
            #expect(counts == ImportCounts(read: 2, added: 1, refused: 1))
            #expect(issues == [["2", "refused", "invalid"]])
        }
    }

    @Test("all routes are described")
    func described() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let (router, document) = GISSyncService(stage.context).routes()
            #expect(document.differences(from: router) == [])
        }
    }
}
