import Foundation
import Model
import Postgres
import PrivateServers
import Schema
import ServiceKit
import Testing

@testable import GISSyncService

@Suite("Facilities that nobody answers for", .serialized)
struct FacilityTests {
    /// In the middle of the survey's line, in the street and in no community.
    private static let place = Coordinate(lon: 114.1005, lat: 22.5)

    private func name(_ area: UUID, _ stage: ServiceStage) async throws {
        try await stage.admin.run(
            """
            INSERT INTO gis.responsibility (area_id, district_id, person_id, person_name, period)
            VALUES ('\(area)', '\(Survey.district)', '\(UUID())', '李娜', tstzrange('2020-01-01', NULL))
            """)
    }

    private func unanswered(_ stage: ServiceStage) async throws -> [String] {
        try await stage.context.http.query(
            FacilityStore.list(
                kind: nil, districts: nil, community: nil, window: nil, unanswered: true, after: nil, limit: 10),
            scope: .city
        ).map { try $0.decode("source_id") }
    }

    private func responsible(_ stage: ServiceStage) async throws -> String? {
        try await stage.context.http.query(AreaStore.whatIsHere(Self.place), scope: .none)[0].decode(
            "responsible_name", as: String?.self)
    }

    @Test("are those of which “what is here?” names nobody: whoever answers for the street answers for its pipes")
    func street() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            _ = try await Survey.run(importer, [Survey.feature("1")], stage)
            #expect(try await responsible(stage) == nil)
            #expect(try await unanswered(stage) == ["1"])
            try await name(Survey.street, stage)
            #expect(try await responsible(stage) == "李娜")
            #expect(try await unanswered(stage) == [])
        }
    }

    @Test("a grid's person answers before the street's, and a community's before the grid's")
    func inner() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            let grid = UUID()
            try await stage.admin.run(
                """
                INSERT INTO gis.area (area_id, level, code, name_zh, name_en, parent_id, district_id, geometry)
                VALUES ('\(grid)', 'grid', 'g1', '网格', 'Grid', '\(Survey.street)', '\(Survey.district)',
                        ST_Multi(ST_MakeEnvelope(114, 22, 114.5, 23, 4326)))
                """)
            _ = try await Survey.run(importer, [Survey.feature("1")], stage)
            try await name(grid, stage)
            #expect(try await unanswered(stage) == [])
            // A community that names nobody is inside the grid, and so are its pipes.
            try await stage.admin.run(
                """
                INSERT INTO gis.area (
                    area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, geometry)
                VALUES ('\(UUID())', 'community', 'c1', '小区', 'Community', '\(grid)', '\(Survey.district)',
                        'residential', ST_Multi(ST_MakeEnvelope(114, 22, 114.2, 23, 4326)))
                """)
            let again = try await Survey.run(importer, [Survey.feature("1")], stage)
            #expect(again.counts.changed == 1)
            let row = try await stage.context.background.query(
                "SELECT community_id, grid_or_street_id FROM gis.facility WHERE source = 'survey'")[0]
            #expect(try row.decode("community_id", as: UUID?.self) != nil)
            #expect(try row.decode("grid_or_street_id", as: UUID?.self) == nil)
            #expect(try await unanswered(stage) == [])
        }
    }

    @Test("a register from before gets the same from the migration")
    func filled() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = try await Survey.prepare(stage)
            _ = try await Survey.run(importer, [Survey.feature("1")], stage)
            try await name(Survey.street, stage)
            try await stage.admin.run("UPDATE gis.facility SET grid_or_street_id = NULL")
            #expect(try await unanswered(stage) == ["1"])
            let file = try MigrationFile.shipped().first { $0.name.hasPrefix("0034_gis") }
            try await stage.admin.run(try #require(file).sql)
            #expect(try await unanswered(stage) == [])
            // So that the same file again is no change.
            #expect(try await Survey.run(importer, [Survey.feature("1")], stage).counts == ImportCounts(read: 1))
        }
    }
}
