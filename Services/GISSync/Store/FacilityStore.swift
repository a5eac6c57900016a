import FoundationEssentials
import Model
import Postgres

/// The SQL of facilities.
enum FacilityStore {
    /// A window on the map in degrees; west ≤ east, south ≤ north.
    struct Window: Sendable, Hashable {
        var west: Double
        var south: Double
        var east: Double
        var north: Double
    }

    /// Facilities by id, one more than the page holds. `districts` nil is the whole city.
    static func list(
        kind: FacilityKind?, districts: [UUID]?, community: UUID?, window: Window?, unanswered: Bool, after: UUID?,
        limit: Int
    ) -> SQL {
        // The box stands alone, so that it can use the index: an OR around it could not.
        let inWindow: SQL =
            window.map {
                "AND f.geometry && ST_MakeEnvelope(\($0.west), \($0.south), \($0.east), \($0.north), 4326)"
            } ?? ""
        let withoutResponsible: SQL =
            unanswered
            ? "AND EXISTS (SELECT FROM gis.api_facility_without_responsible w WHERE w.facility_id = f.facility_id)" : ""
        return """
            SELECT f.facility_id, f.kind, f.system, f.code, f.source, f.source_id, f.district_id, f.community_id,
                   f.diameter_mm, f.length_m, f.up_node, f.down_node, f.up_invert_m, f.down_invert_m, f.material,
                   f.version, f.changed_at, ST_AsGeoJSON(f.geometry, 7) AS geometry
            FROM gis.facility f
            WHERE f.retired_at IS NULL
              AND (\(kind)::text IS NULL OR f.kind = \(kind)::text)
              AND (\(districts)::uuid[] IS NULL OR f.district_id = ANY (\(districts)::uuid[]))
              AND (\(community)::uuid IS NULL OR f.community_id = \(community)::uuid)
              AND (\(after)::uuid IS NULL OR f.facility_id > \(after)::uuid)
              \(inWindow) \(withoutResponsible)
            ORDER BY f.facility_id
            LIMIT \(limit + 1)::int
            """
    }
}
