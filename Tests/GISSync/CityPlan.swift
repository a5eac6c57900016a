import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit

@testable import GISSyncService

/// What the tests of areas send: a city drawn with a ruler, where nothing was before.
enum CityPlan {
    static let districts = [area("d1", west: 114, east: 115), area("d2", west: 115, east: 116)]
    static let streets = [area("s1", in: "d1", west: 114, east: 114.5), area("s2", in: "d1", west: 114.5, east: 115)]
    static let grids = [area("g1", in: "s1", west: 114, east: 114.25)]
    static let communities = [
        area("c1", in: "g1", west: 114.1, east: 114.2, #""community_type":"urban_village""#),
        // A street without grids.
        area("c2", in: "s2", west: 114.6, east: 114.7, #""community_type":"residential""#),
    ]
    static let specials = [area("u1", in: "s1", west: 114.15, east: 114.16, #""tags":["underpass"]"#)]

    /// In everything that lies in the first grid.
    static let place = Coordinate(lon: 114.155, lat: 22.5)

    static func area(
        _ code: String, in parent: String? = nil, west: Double, east: Double, _ properties: String = ""
    ) -> String {
        let names = #""name_zh":"区\#(code)","name_en":"Area \#(code)""#
        let above = parent.map { #","parent":"\#($0)""# } ?? ""
        let more = properties.isEmpty ? "" : "," + properties
        return feature(#""code":"\#(code)",\#(names)\#(above)\#(more)"#, box(west, east))
    }

    static func feature(_ properties: String, _ geometry: String) -> String {
        #"{"type":"Feature","properties":{\#(properties)},"geometry":\#(geometry)}"#
    }

    static func box(_ west: Double, _ east: Double) -> String {
        polygon("[\(west),22],[\(east),22],[\(east),23],[\(west),23],[\(west),22]")
    }

    static func polygon(_ ring: String) -> String { #"{"type":"Polygon","coordinates":[[\#(ring)]]}"# }

    // MARK: Importing

    /// A whole import: its counts, and row, severity, field and code of its issues.
    static func take(
        _ level: PlaceLevel, _ features: [String], _ stage: ServiceStage
    ) async throws -> (counts: ImportCounts, issues: [[String]]) {
        let id = stage.context.sources.randomUUID(stage.context.sources.now())
        let counts = try await importer(stage).run(
            id, profile: AreaProfile(level: level), startedBy: "test", pieces: Survey.document(features))
        return (counts, try await issues(id, stage))
    }

    static func importer(_ stage: ServiceStage) -> AreaImporter {
        AreaImporter(database: stage.context.background, messaging: stage.context.messaging)
    }

    static func takeWhole(_ stage: ServiceStage) async throws {
        _ = try await take(.district, districts, stage)
        _ = try await take(.street, streets, stage)
        _ = try await take(.grid, grids, stage)
        _ = try await take(.community, communities, stage)
        _ = try await take(.special, specials, stage)
    }

    static func take(
        _ lines: [ResponsibilityImporter.Line], _ stage: ServiceStage
    ) async throws -> (counts: ImportCounts, issues: [[String]]) {
        let id = stage.context.sources.randomUUID(stage.context.sources.now())
        let importer = ResponsibilityImporter(
            database: stage.context.background, messaging: stage.context.messaging)
        let counts = try await importer.run(id, lines: lines, timeZone: "Asia/Shanghai", startedBy: "test")
        return (counts, try await issues(id, stage))
    }

    private static func issues(_ id: UUID, _ stage: ServiceStage) async throws -> [[String]] {
        try await stage.context.background.query(ImportStore.issues(id, limit: 100)).map {
            [
                "\(try $0.decode("row_number", as: Int.self))", try $0.decode("severity"), try $0.decode("field"),
                try $0.decode("code"),
            ]
        }
    }
}
