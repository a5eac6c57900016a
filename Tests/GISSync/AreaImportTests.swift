import Foundation
import Model
import Postgres
import PrivateServers
import Rules
import ServiceKit
import Testing

@testable import GISSyncService

@Suite("Importing a city's areas", .serialized)
struct AreaImportTests {
    @Test("a city begins with nothing; level by level it becomes one in which a place is known")
    func city() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            #expect(
                try await CityPlan.take(.district, CityPlan.districts, stage).counts == ImportCounts(read: 2, added: 2))
            #expect(try await CityPlan.take(.street, CityPlan.streets, stage).counts == ImportCounts(read: 2, added: 2))
            #expect(try await CityPlan.take(.grid, CityPlan.grids, stage).counts == ImportCounts(read: 1, added: 1))
            #expect(
                try await CityPlan.take(.community, CityPlan.communities, stage).counts
                    == ImportCounts(read: 2, added: 2))
            #expect(
                try await CityPlan.take(.special, CityPlan.specials, stage).counts == ImportCounts(read: 1, added: 1))
            let here = try await stage.context.http.query(AreaStore.whatIsHere(CityPlan.place), scope: .none)[0]
            #expect(try here.decode("district_name_en", as: String?.self) == "Area d1")
            #expect(try here.decode("street_name_zh", as: String?.self) == "区s1")
            #expect(try here.decode("grid_code", as: String?.self) == "g1")
            #expect(try here.decode("community_name_zh", as: String?.self) == "区c1")
            #expect(try here.decode("community_type", as: String?.self) == "urban_village")
            #expect(try here.decode("tags", as: [String].self) == ["underpass"])
            // Each area is of the district that it lies in, however deep.
            let homes = try await stage.context.background.query(
                """
                SELECT DISTINCT d.code FROM gis.area a JOIN gis.area d ON d.area_id = a.district_id
                WHERE a.level <> 'district' AND a.code <> 'sentinel'
                """)
            #expect(try homes.column(String.self) == ["d1"])
        }
    }

    @Test("each area that is added or changed is announced once, the same file again not at all")
    func announced() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            _ = try await CityPlan.take(.district, CityPlan.districts, stage)
            _ = try await CityPlan.take(.street, CityPlan.streets, stage)
            #expect(try await announcements(stage) == ["district d1 1", "district d2 1", "street s1 1", "street s2 1"])
            #expect(try await CityPlan.take(.street, CityPlan.streets, stage).counts == ImportCounts(read: 2))
            let moved = [CityPlan.streets[0], CityPlan.area("s2", in: "d1", west: 114.5, east: 114.9)]
            #expect(try await CityPlan.take(.street, moved, stage).counts == ImportCounts(read: 2, changed: 1))
            #expect(
                try await announcements(stage) == [
                    "district d1 1", "district d2 1", "street s1 1", "street s2 1", "street s2 2",
                ])
            // In the outbox too, under the district of the area.
            let waiting = try await stage.context.background.query(
                """
                SELECT count(*)::int FROM gis.outbox o
                JOIN gis.history h ON h.id = o.id AND h.district_id = o.district_id
                JOIN gis.area a ON a.area_id = h.aggregate_id AND a.district_id = h.district_id
                """)
            #expect(try waiting.column(Int.self) == [5])
        }
    }

    private func announcements(_ stage: ServiceStage) async throws -> [String] {
        try await stage.context.background.query(
            """
            SELECT body ->> 'level' || ' ' || (body ->> 'code') || ' ' || version
            FROM gis.history WHERE type = 'place.changed.v1' AND aggregate = 'place' AND lane = 'r'
            ORDER BY 1
            """
        ).column(String.self)
    }

    @Test("districts that cannot be are refused, and what was put right is said")
    func wrongDistricts() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let bowTie = CityPlan.polygon("[114,22],[115,23],[115,22],[114,23],[114,22]")
            let line = #"{"type":"LineString","coordinates":[[114,22],[115,23]]}"#
            let flat = CityPlan.polygon("[114,22],[115,23],[114,22],[114,22]")
            func named(_ code: String, _ geometry: String) -> String {
                CityPlan.feature(#""code":"\#(code)","name_zh":"区","name_en":"Area""#, geometry)
            }
            let (counts, issues) = try await CityPlan.take(
                .district,
                [
                    named("d1", CityPlan.box(114, 115)), named("d1", CityPlan.box(115, 116)), named("d2", bowTie),
                    CityPlan.feature(#""code":"d3","name_zh":"区","tags":"Old Town; 老""#, CityPlan.box(1, 2)),
                    named("", CityPlan.box(1, 2)), named("no space", CityPlan.box(1, 2)),
                    named("city", CityPlan.box(1, 2)), CityPlan.feature(#""code":"d4""#, CityPlan.box(1, 2)),
                    named("d5", line), named("d6", flat), named("d7", "null"), named("d8", CityPlan.box(181, 182)),
                ], stage)
            #expect(counts == ImportCounts(read: 12, added: 3, refused: 9))
            #expect(
                issues == [
                    ["2", "refused", "properties.code", "duplicate"], ["3", "repaired", "geometry", "repaired"],
                    ["4", "repaired", "properties.name_en", "missing"], ["4", "repaired", "properties.tags", "unfit"],
                    ["5", "refused", "properties.code", "missing"], ["6", "refused", "properties.code", "unfit"],
                    ["7", "refused", "properties.code", "reserved"], ["8", "refused", "properties.name_zh", "missing"],
                    ["9", "refused", "geometry.type", "wrong_type"], ["10", "refused", "geometry", "invalid"],
                    ["11", "refused", "geometry", "invalid"], ["12", "refused", "geometry", "invalid"],
                ])
            let kept = try await stage.context.background.query(
                "SELECT name_en, tags FROM gis.area WHERE level = 'district' AND code = 'd3'")[0]
            #expect(try kept.decode("name_en", as: String.self) == "区")
            #expect(try kept.decode("tags", as: [String].self) == ["old", "town"])
        }
    }

    @Test("an area needs a parent that is there and around it, and a community one of the six types")
    func wrongChildren() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            _ = try await CityPlan.take(.district, CityPlan.districts, stage)
            let streets = try await CityPlan.take(
                .street,
                [
                    CityPlan.area("s1", in: "d1", west: 114, east: 114.5), CityPlan.area("s2", west: 114, east: 115),
                    CityPlan.area("s3", in: "d9", west: 114, east: 115),
                    CityPlan.area("s4", in: "d2", west: 114, east: 114.5),
                ], stage)
            #expect(streets.counts == ImportCounts(read: 4, added: 1, refused: 3))
            #expect(
                streets.issues == [
                    ["2", "refused", "properties.parent", "missing"], ["3", "refused", "properties.parent", "unknown"],
                    ["4", "refused", "geometry.coordinates", "outside_parent"],
                ])
            let communities = try await CityPlan.take(
                .community,
                [
                    CityPlan.area("c1", in: "s1", west: 114.1, east: 114.2, #""community_type":"castle""#),
                    CityPlan.area("c2", in: "s1", west: 114.1, east: 114.2),
                    // Of a district there are streets in between.
                    CityPlan.area("c3", in: "d1", west: 114.1, east: 114.2, #""community_type":"mixed""#),
                ], stage)
            #expect(communities.counts == ImportCounts(read: 3, refused: 3))
            #expect(
                communities.issues.map { $0[2] } == [
                    "properties.community_type", "properties.community_type", "properties.parent",
                ])
        }
    }

    @Test("an area stays in its district, whatever a later file says")
    func otherDistrict() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            _ = try await CityPlan.take(.district, CityPlan.districts, stage)
            _ = try await CityPlan.take(.street, CityPlan.streets, stage)
            let taken = try await CityPlan.take(
                .street, [CityPlan.area("s1", in: "d2", west: 115, east: 115.5)], stage)
            #expect(taken.issues == [["1", "refused", "properties.code", "other_district"]])
            let row = try await stage.context.background.query(
                "SELECT version FROM gis.area WHERE level = 'street' AND code = 's1'")
            #expect(try row.column(Int.self) == [1])
        }
    }

    @Test("properties may have other names; the profile is kept with the run")
    func otherNames() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let id = stage.context.sources.randomUUID(stage.context.sources.now())
            let feature = CityPlan.feature(#""DM":"d1","MC":"罗湖区""#, CityPlan.box(114, 115))
            let counts = try await CityPlan.importer(stage).run(
                id, profile: AreaProfile(level: .district, code: "DM", nameZH: "MC"), startedBy: "test",
                pieces: Survey.document([feature]))
            #expect(counts == ImportCounts(read: 1, added: 1))
            let run = try await stage.context.background.query(
                "SELECT kind, state, rows_added, profile ->> 'code' AS code FROM gis.import WHERE import_id = \(id)")[0]
            #expect(try run.decode("kind", as: String.self) == "district")
            #expect(try run.decode("state", as: String.self) == "done")
            #expect(try run.decode("rows_added", as: Int.self) == 1)
            #expect(try run.decode("code", as: String.self) == "DM")
        }
    }

    @Test("a file that ends early, or that the database does not take, leaves the map as it was")
    func nothingHalf() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let early = stage.context.sources.randomUUID(stage.context.sources.now())
            let whole = Survey.document(CityPlan.districts)[0]
            await #expect(throws: FeatureImporter.Failure.unreadable(.endsEarly)) {
                _ = try await CityPlan.importer(stage).run(
                    early, profile: AreaProfile(level: .district), startedBy: "test",
                    pieces: [Array(whole.dropLast(20))])
            }
            #expect(try await Survey.end(early, stage).state == "failed")
            // What no check of the importer foresees, in the last row of many.
            try await stage.admin.run("ALTER TABLE gis.area ADD CONSTRAINT poison CHECK (code <> 'x700')")
            let many = (1...700).map { CityPlan.area("x\($0)", west: 114, east: 115) }
            let poisoned = stage.context.sources.randomUUID(stage.context.sources.now())
            await #expect(throws: FeatureImporter.Failure.self) {
                _ = try await CityPlan.importer(stage).run(
                    poisoned, profile: AreaProfile(level: .district), startedBy: "test", pieces: Survey.document(many))
            }
            let end = try await Survey.end(poisoned, stage)
            #expect(end.state == "failed")
            #expect(end.error?.contains("poison") == true)
            let left = try await stage.context.background.query(
                """
                SELECT (SELECT count(*) FROM gis.area WHERE level = 'district')::int
                       + (SELECT count(*) FROM gis.import_staging)::int + (SELECT count(*) FROM gis.history)::int
                """)
            #expect(try left.column(Int.self) == [0])
        }
    }
}
