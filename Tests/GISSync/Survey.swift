import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit

@testable import GISSyncService

/// What the tests of imports send: pipes of a survey, inside two districts that lie on each other.
enum Survey {
    static let district = District.ID(UUID())
    static let otherDistrict = District.ID(UUID())
    /// In both districts.
    static let street = UUID()

    static let profile = ImportProfile(
        source: "survey", kind: .pipe, system: .storm, id: "GISID", diameterMillimetres: "DIAMETER",
        lengthMetres: "LENGTH", upNode: "UP", downNode: "DOWN", upInvertMetres: "UP_Z")

    static func feature(
        _ id: String, _ properties: String = "",
        geometry: String = #"{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}"#
    ) -> String {
        #"{"type":"Feature","properties":{"GISID":\#(id)\#(properties)},"geometry":\#(geometry)}"#
    }

    static func document(_ features: [String]) -> [[UInt8]] {
        [Array(#"{"type":"FeatureCollection","features":[\#(features.joined(separator: ","))]}"#.utf8)]
    }

    static func prepare(_ stage: ServiceStage) async throws -> FeatureImporter {
        try await stage.admin.run(
            """
            INSERT INTO gis.area (area_id, level, code, name_zh, name_en, parent_id, district_id, geometry)
            SELECT id, level, code, '区', 'Area', parent, district, ST_Multi(ST_MakeEnvelope(114, 22, 115, 23, 4326))
            FROM (VALUES
                ('\(district)'::uuid, 'district', 'd1', NULL::uuid, '\(district)'::uuid),
                ('\(otherDistrict)', 'district', 'd2', NULL, '\(otherDistrict)'),
                ('\(street)', 'street', 's1', '\(district)', '\(district)')
            ) area (id, level, code, parent, district)
            """)
        return FeatureImporter(database: stage.context.background, messaging: stage.context.messaging)
    }

    /// A run whose rows are staged and that waits for somebody to carry it on.
    static func started(
        _ importer: FeatureImporter, _ features: [String], _ stage: ServiceStage, district: District.ID = district
    ) async throws -> UUID {
        let id = stage.context.sources.randomUUID(stage.context.sources.now())
        let rows = try await importer.stage(
            id, district: district, profile: profile, startedBy: "test", pieces: document(features))
        try await importer.start(id, rows: rows)
        return id
    }

    /// A whole import: its counts, and row, severity and code of its issues.
    static func run(
        _ importer: FeatureImporter, _ features: [String], _ stage: ServiceStage, district: District.ID = district
    ) async throws -> (counts: ImportCounts, issues: [[String]]) {
        let id = try await started(importer, features, stage, district: district)
        return (try await importer.run(id), try await issues(id, stage))
    }

    static func issues(_ id: UUID, _ stage: ServiceStage) async throws -> [[String]] {
        try await stage.context.background.query(ImportStore.issues(id, limit: 100)).map {
            ["\(try $0.decode("row_number", as: Int.self))", try $0.decode("severity"), try $0.decode("code")]
        }
    }

    /// State and error of a run.
    static func end(_ id: UUID, _ stage: ServiceStage) async throws -> (state: String, error: String?) {
        let row = try await stage.context.background.query(
            "SELECT state, error FROM gis.import WHERE import_id = \(id)")[0]
        return (try row.decode("state"), try row.decode("error", as: String?.self))
    }
}
