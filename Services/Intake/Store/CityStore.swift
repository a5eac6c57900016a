import FoundationEssentials
import Model
import Postgres
import Rules

/// What intake reads of its neighbours: dispatch's categories, the map, the lane's pressure. All city-wide.
struct CityStore: Sendable {
    let database: PostgresClient

    struct Category: Sendable, Hashable {
        var code: String
        var version: Int
        var isActive: Bool
        var kind: ReportKind
        var nameZH: String
        var nameEN: String
        var severity: Severity
        var alwaysEmergency: Bool
        var words: [String]
        var places: [String]
    }

    /// Changes exactly when the catalogue or the map may have changed. Cheap: no geometry is read.
    struct Mark: Sendable, Hashable {
        var categories: String
        var places: String
    }

    func mark() async throws -> Mark {
        let rows = try await database.segment([
            """
            SELECT count(*) || ' ' || coalesce(sum(version), 0) || ' ' || coalesce(max(version), 0)
            FROM dispatch.api_category
            """,
            """
            SELECT count(*) || ' ' || coalesce(sum(version), 0) || ' ' || coalesce(max(version), 0)
            FROM gis.api_place
            """,
        ])
        guard let categories = rows[0].first, let places = rows[1].first else {
            throw PostgresError(.decoding, "an aggregate gave no row")
        }
        return Mark(categories: try categories.decode(0), places: try places.decode(0))
    }

    func categories() async throws -> [Category] {
        let rows = try await database.query(
            """
            SELECT code, version, active, kind, name_zh, name_en, severity, always_emergency, emergency_words,
                   emergency_places
            FROM dispatch.api_category
            WHERE code NOT IN ('sentinel', 'canary')
            """)
        return try rows.map { row in
            Category(
                code: try row.decode("code"), version: try row.decode("version"), isActive: try row.decode("active"),
                kind: try row.decode("kind"), nameZH: try row.decode("name_zh"), nameEN: try row.decode("name_en"),
                severity: try row.decode("severity"), alwaysEmergency: try row.decode("always_emergency"),
                words: try row.decode("emergency_words"), places: try row.decode("emergency_places"))
        }
    }

    /// Areas whose shape can't be read are left out and named, so that one bad row does not take the map away.
    func places() async throws -> (places: [PlaceIndex.Place], unreadable: [String]) {
        let rows = try await database.query(
            """
            SELECT place_id, level, code, name_zh, name_en, district_id, tags, version, geometry_geojson
            FROM gis.api_place
            WHERE code <> 'sentinel'
            ORDER BY place_id
            """)
        var places: [PlaceIndex.Place] = []
        var unreadable: [String] = []
        places.reserveCapacity(rows.count)
        for row in rows {
            let code: String = try row.decode("code")
            guard let shape = PlaceShape(geoJSON: try row.decode("geometry_geojson")) else {
                unreadable.append(code)
                continue
            }
            places.append(
                PlaceIndex.Place(
                    id: try row.decode("place_id"), level: try row.decode("level"), code: code,
                    nameZH: try row.decode("name_zh"), nameEN: try row.decode("name_en"),
                    districtID: try row.decode("district_id"), tags: Set(try row.decode("tags", as: [String].self)),
                    version: try row.decode("version"), shape: shape))
        }
        return (places, unreadable)
    }

    struct FacilityPlace: Sendable {
        var id: Facility.ID
        var position: Coordinate
    }

    /// Facilities' codes are unique within a kind only, so the first is taken. Nil if there is none.
    func facility(code: String) async throws -> FacilityPlace? {
        let rows = try await database.query(
            """
            SELECT facility_id, lon, lat FROM gis.api_facility
            WHERE code = \(code) AND code <> 'sentinel'
            ORDER BY facility_id
            LIMIT 1
            """)
        return try rows.first.map { row in
            FacilityPlace(
                id: try row.decode("facility_id"),
                position: Coordinate(lon: try row.decode("lon"), lat: try row.decode("lat")))
        }
    }
}
