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
    private static let district = District.ID(UUID())
    private static let profile = ImportProfile(
        source: "survey", kind: .pipe, system: .storm, id: "GISID", diameterMillimetres: "DIAMETER",
        lengthMetres: "LENGTH", upNode: "UP", upInvertMetres: "UP_Z")

    private static func feature(
        _ id: String, _ properties: String = "",
        geometry: String = #"{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}"#
    ) -> String {
        #"{"type":"Feature","properties":{"GISID":\#(id)\#(properties)},"geometry":\#(geometry)}"#
    }

    private static func document(_ features: [String]) -> [[UInt8]] {
        [Array(#"{"type":"FeatureCollection","features":[\#(features.joined(separator: ","))]}"#.utf8)]
    }

    private static func prepare(_ stage: ServiceStage) async throws -> FeatureImporter {
        try await stage.admin.run(
            """
            INSERT INTO gis.area (area_id, level, code, name_zh, name_en, district_id, geometry)
            VALUES ('\(district)', 'district', 'd', '区', 'District', '\(district)',
                    ST_Multi(ST_MakeEnvelope(114, 22, 115, 23, 4326)))
            """)
        return FeatureImporter(database: stage.context.background, messaging: stage.context.messaging)
    }

    private func run(
        _ importer: FeatureImporter, _ features: [String], _ stage: ServiceStage
    ) async throws -> (counts: ImportCounts, issues: [[String]]) {
        let id = stage.context.sources.randomUUID(stage.context.sources.now())
        let rows = try await importer.stage(
            id, district: Self.district, profile: Self.profile, startedBy: "test", pieces: Self.document(features))
        try await importer.start(id, rows: rows)
        let counts = try await importer.run(id)
        let issues = try await stage.context.background.query(ImportStore.issues(id, limit: 100))
        return (
            counts,
            try issues.map {
                ["\(try $0.decode("row_number", as: Int.self))", try $0.decode("severity"), try $0.decode("code")]
            }
        )
    }

    @Test("good rows go in, bad ones say what is wrong, unknown values become null")
    func dirt() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Self.prepare(stage)
            let (counts, issues) = try await run(
                importer,
                [
                    Self.feature("1", #","DIAMETER":300,"LENGTH":"52.43","UP":"-1","UP_Z":0"#),
                    Self.feature("2", #","DIAMETER":0"#), Self.feature("1"), Self.feature("null"),
                    Self.feature("3", geometry: "null"),
                    Self.feature("4", geometry: #"{"type":"Point","coordinates":[114.1,22.5]}"#),
                    Self.feature("5", geometry: #"{"type":"LineString","coordinates":[[0,0],[1,1]]}"#),
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
            let importer = try await Self.prepare(stage)
            let features = (1...1_200).map { Self.feature("\($0)", #","DIAMETER":300"#) }
            let first = try await run(importer, features, stage)
            #expect(first.counts.added == 1_200)
            let second = try await run(importer, features, stage)
            #expect(second.counts == ImportCounts(read: 1_200))
            #expect(second.counts.same == 1_200)
            let third = try await run(
                importer, Array(features.dropLast()) + [Self.feature("1200", #","DIAMETER":400"#)], stage)
            #expect(third.counts.changed == 1)
            let announced = try await stage.context.background.query(
                "SELECT count(*)::int FROM gis.history WHERE type = 'facility.changed.v1'")
            #expect(try announced.column(Int.self) == [1_201])
        }
    }

    @Test("a document that ends early leaves nothing behind")
    func cutShort() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Self.prepare(stage)
            let id = stage.context.sources.randomUUID(stage.context.sources.now())
            let whole = Self.document([Self.feature("1"), Self.feature("2")])[0]
            await #expect(throws: FeatureImporter.Failure.unreadable(.endsEarly)) {
                _ = try await importer.stage(
                    id, district: Self.district, profile: Self.profile, startedBy: "test",
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
            let importer = try await Self.prepare(stage)
            let id = stage.context.sources.randomUUID(stage.context.sources.now())
            let rows = try await importer.stage(
                id, district: Self.district, profile: Self.profile, startedBy: "test",
                pieces: Self.document([Self.feature("1"), Self.feature("2")]))
            try await importer.start(id, rows: rows)
            try await stage.admin.run("DELETE FROM gis.import_staging")
            #expect(try await importer.run(id) == ImportCounts())
            let state = try await stage.context.background.query(
                "SELECT state, error FROM gis.import WHERE import_id = \(id)")[0]
            #expect(try state.decode("state", as: String.self) == "failed")
            #expect(try state.decode("error", as: String?.self)?.contains("lost") == true)
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
