import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import GISSyncService

@Suite("Importing who answers for what", .serialized)
struct ResponsibilityImportTests {
    private typealias Line = ResponsibilityImporter.Line

    private static func line(
        _ area: String, _ name: String?, from: String?, until: String? = nil, id: String? = nil,
        for other: String? = nil
    ) -> Line {
        let parts = area.split(separator: "/").map(String.init)
        return Line(
            level: parts.first, code: parts.count > 1 ? parts[1] : nil, personID: id, personName: name, from: from,
            until: until, deputisingFor: other)
    }

    /// Code of the area, name, whom they stand in for, and when, in the order of area and time.
    private func stated(_ stage: ServiceStage) async throws -> [String] {
        try await stage.context.background.query(
            """
            SELECT a.code || ' ' || r.person_name || coalesce(' for ' || d.person_name, '') || ' '
                   || to_char(lower(r.period) AT TIME ZONE 'UTC', 'MM-DD HH24') || ' '
                   || coalesce(to_char(upper(r.period) AT TIME ZONE 'UTC', 'MM-DD HH24'), 'on') AS stated
            FROM gis.responsibility r
            JOIN gis.area a ON a.area_id = r.area_id
            LEFT JOIN LATERAL (
                SELECT o.person_name FROM gis.responsibility o WHERE o.person_id = r.deputising_for LIMIT 1) d ON true
            ORDER BY a.code, r.period
            """
        ).column(String.self)
    }

    @Test("a list gives areas their people, a deputy for a leave among them; again it changes nothing")
    func list() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            try await CityPlan.takeWhole(stage)
            let lines = [
                Self.line("district/d1", "王伟", from: "2026-01-01"),
                // Not in the order of time.
                Self.line("street/s1", "李娜", from: "2026-07-15T00:00:00+08:00"),
                Self.line("street/s1", "李娜", from: "2026-01-01", until: "2026-07-01"),
                Self.line("street/s1", "王伟", from: "2026-07-01", until: "2026-07-15", for: "李娜"),
            ]
            let expected = [
                "d1 王伟 12-31 16 on", "s1 李娜 12-31 16 06-30 16", "s1 王伟 for 李娜 06-30 16 07-14 16",
                "s1 李娜 07-14 16 on",
            ]
            #expect(try await CityPlan.take(lines, stage).counts == ImportCounts(read: 4, added: 4))
            #expect(try await stated(stage) == expected)
            #expect(try await CityPlan.take(lines, stage).counts == ImportCounts(read: 4))
            #expect(try await stated(stage) == expected)
            // One name in a district is one person, with one id.
            let people = try await stage.context.background.query(
                "SELECT count(DISTINCT person_id)::int FROM gis.responsibility")
            #expect(try people.column(Int.self) == [2])
        }
    }

    @Test("who takes over follows on whoever had it, once that one has an end")
    func takingOver() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            try await CityPlan.takeWhole(stage)
            _ = try await CityPlan.take([Self.line("grid/g1", "王伟", from: "2026-01-01")], stage)
            let second = Self.line("grid/g1", "李娜", from: "2026-03-01")
            let refused = try await CityPlan.take([second, Self.line("grid/g1", "王伟", from: "2025-12-01")], stage)
            #expect(refused.counts == ImportCounts(read: 2, refused: 2))
            #expect(refused.issues == [["1", "refused", "from", "overlaps"], ["2", "refused", "from", "overlaps"]])
            let first = Self.line("grid/g1", "王伟", from: "2026-01-01", until: "2026-03-01")
            #expect(
                try await CityPlan.take([second, first], stage).counts == ImportCounts(read: 2, added: 1, changed: 1))
            #expect(try await stated(stage) == ["g1 王伟 12-31 16 02-28 16", "g1 李娜 02-28 16 on"])
        }
    }

    @Test("rows that cannot be read or meant are refused alone, each with its field")
    func wrong() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            try await CityPlan.takeWhole(stage)
            let day = "2026-01-01"
            let (counts, issues) = try await CityPlan.take(
                [
                    Self.line("street/s1", "李娜", from: day), Self.line("city/d1", "王伟", from: day),
                    Self.line("special/u1", "王伟", from: day), Self.line("grid", "王伟", from: day),
                    Self.line("grid/none", "王伟", from: day), Self.line("grid/g1", nil, from: day),
                    Self.line("grid/g1", "王伟", from: day, id: "7"), Self.line("grid/g1", "王伟", from: "2026-02-30"),
                    Self.line("grid/g1", "王伟", from: day, until: "soon"),
                    Self.line("grid/g1", "王伟", from: day, until: day),
                    Self.line("grid/g1", "王伟", from: day, for: "nobody"),
                    Self.line("grid/g1", "王伟", from: day, for: "王伟"),
                ], stage)
            #expect(counts == ImportCounts(read: 12, added: 1, refused: 11))
            #expect(
                issues.map { $0.dropFirst(2).joined(separator: " ") } == [
                    "level not_allowed", "level not_allowed", "code missing", "code unknown", "person_name missing",
                    "person_id unfit", "from unfit", "until unfit", "until too_early", "deputising_for unknown",
                    "deputising_for not_allowed",
                ])
            #expect(try await stated(stage) == ["s1 李娜 12-31 16 on"])
        }
    }

    @Test("two people of one name are told apart by their ids, and a row without one is not guessed at")
    func oneName() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            try await CityPlan.takeWhole(stage)
            let ids = [UUID(), UUID()].map { $0.uuidString.lowercased() }
            let lines = [
                Self.line("street/s1", "王伟", from: "2026-01-01", id: ids[0]),
                Self.line("street/s2", "王伟", from: "2026-01-01", id: ids[1]),
                Self.line("grid/g1", "王伟", from: "2026-01-01"),
            ]
            let taken = try await CityPlan.take(lines, stage)
            #expect(taken.counts == ImportCounts(read: 3, added: 2, refused: 1))
            #expect(taken.issues == [["3", "refused", "person_id", "missing"]])
            let kept = try await stage.context.background.query(
                "SELECT person_id::text FROM gis.responsibility ORDER BY person_id")
            #expect(try kept.column(String.self) == ids.sorted())
        }
    }

    @Test("the person named answers for what lies inside and names nobody nearer")
    func inside() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            try await CityPlan.takeWhole(stage)
            _ = try await CityPlan.take([Self.line("street/s1", "李娜", from: "2020-01-01")], stage)
            let here = try await stage.context.http.query(AreaStore.whatIsHere(CityPlan.place), scope: .none)[0]
            #expect(try here.decode("responsible_name", as: String?.self) == "李娜")
            #expect(try here.decode("responsible_level", as: String?.self) == "street")
        }
    }

    @Test("a day begins where the city says, and only where there is such a place")
    func timeZone() async throws {
        try await ServiceStage.with(.gisSync) { stage in
            let importer = ResponsibilityImporter(
                database: stage.context.background, messaging: stage.context.messaging)
            let (real, sunken) = (
                try await importer.knows(timeZone: "Asia/Shanghai"), try await importer.knows(timeZone: "Asia/Atlantis")
            )
            #expect(real)
            #expect(!sunken)
        }
    }
}
