import FoundationEssentials
import Model
import Postgres

/// The SQL of areas: what is here, communities, grids.
enum AreaStore {
    static func whatIsHere(_ place: Coordinate) -> SQL {
        """
        SELECT district_id, district_name_zh, district_name_en, street_id, street_name_zh, street_name_en,
               grid_id, grid_code, community_id, community_name_zh, community_name_en, community_type, tags,
               responsible_id, responsible_name, responsible_level,
               facility_id, facility_kind, facility_code, facility_distance_m
        FROM gis.what_is_here(\(place.lon), \(place.lat))
        """
    }

    /// Areas of one level in the districts, by id, one more than the page holds. `districts` nil is the whole city.
    static func list(
        level: PlaceLevel, districts: [UUID]?, parent: UUID?, type: CommunityType?, after: UUID?, limit: Int
    ) -> SQL {
        """
        SELECT a.area_id, a.code, a.name_zh, a.name_en, a.parent_id, a.district_id, a.community_type, a.tags, a.version,
               ST_AsGeoJSON(a.geometry, 7) AS geometry, r.person_id, r.person_name, r.since,
               (SELECT count(*) FROM gis.facility f
                WHERE f.community_id = a.area_id AND f.retired_at IS NULL)::int AS facility_count
        FROM gis.area a
        LEFT JOIN gis.api_responsible r ON r.place_id = a.area_id
        WHERE a.level = \(level) AND a.area_id <> sluice.city()
          AND (\(districts)::uuid[] IS NULL OR a.district_id = ANY (\(districts)::uuid[]))
          AND (\(parent)::uuid IS NULL OR a.parent_id = \(parent)::uuid)
          AND (\(type)::text IS NULL OR a.community_type = \(type)::text)
          AND (\(after)::uuid IS NULL OR a.area_id > \(after)::uuid)
        ORDER BY a.area_id
        LIMIT \(limit + 1)::int
        """
    }
}
