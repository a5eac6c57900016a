import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import GISSyncService

/// Each query of a big table, explained as the role that runs it and under the scope that it runs in.
@Suite("Plans on big tables", .serialized, .timeLimit(.minutes(5)))
struct PlanTests {
    private static let district = BigCity.district(3)

    @Test("what people ask the map")
    func people() async throws {
        try await BigCity.with(.gisSync) { city in
            func statements(_ districts: [UUID]?) -> [SQL] {
                func facilities(
                    kind: FacilityKind? = nil, community: UUID? = nil, window: FacilityStore.Window? = nil,
                    after: UUID? = nil
                ) -> SQL {
                    FacilityStore.list(
                        kind: kind, districts: districts, community: community, window: window, unanswered: false,
                        after: after, limit: 50)
                }
                func areas(_ level: PlaceLevel, parent: UUID? = nil) -> SQL {
                    AreaStore.list(level: level, districts: districts, parent: parent, type: nil, after: nil, limit: 50)
                }
                return [
                    AreaStore.whatIsHere(Coordinate(lon: 114.061, lat: 22.551)), areas(.community), areas(.street),
                    areas(.community, parent: BigCity.id("5", 13)), facilities(), facilities(kind: .manhole),
                    facilities(community: BigCity.id("c", 13)),
                    facilities(window: .init(west: 114.06, south: 22.55, east: 114.062, north: 22.56)),
                    facilities(after: BigCity.id("c", 13)),
                    ImportStore.show(BigCity.id("b", 13), districts: districts),
                    ImportStore.issues(BigCity.id("b", 13), limit: 100),
                ]
            }
            let http = city.stage.context.http
            let districts = [Self.district.rawValue]
            let ofDistrict = statements(districts)
            try expectGoodPlans(
                try await city.plans(of: ofDistrict, on: http, scope: .districts(districts)), of: ofDistrict.count,
                in: city, role: "sluice_gis_http")
            let ofCity = statements(nil)
            try expectGoodPlans(
                try await city.plans(of: ofCity, on: http, scope: .city), of: ofCity.count, in: city,
                role: "sluice_gis_http")
        }
    }

    @Test("an import's chunks, and what is left when it ends")
    func imports() async throws {
        try await BigCity.with(.gisSync) { city in
            let id = BigCity.id("b", 7)
            let profile = ImportProfile(source: "seed", kind: .manhole, id: "id")
            let statements =
                [
                    ImportStore.waiting, ImportStore.abandoned, ImportStore.take(id), ImportStore.standing(id),
                    ImportStore.writeChunk(id, district: Self.district, profile: profile, after: 0, through: 500),
                ] + ImportStore.close(id, error: nil)
            try expectGoodPlans(
                try await city.plans(of: statements, on: city.stage.context.background, scope: .all),
                of: statements.count, in: city, role: "sluice_gis_bg")
        }
    }
}
