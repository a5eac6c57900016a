extension SampleRows {
    /// Into gis: areas, who answers for them, facilities.
    func addRegister(_ city: SampleCity) async throws -> [SeededTable] {
        let areas = try await add(
            city.map.areas,
            """
            INSERT INTO gis.area (area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, tags,
                                  geometry)
            SELECT area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, tags,
                   ST_Multi(ST_SetSRID(ST_GeomFromGeoJSON(geometry), 4326))
            FROM jsonb_to_recordset($1::jsonb) AS x (
                area_id uuid, level text, code text, name_zh text, name_en text, parent_id uuid, district_id uuid,
                community_type text, tags text[], geometry text)
            ON CONFLICT DO NOTHING
            """)
        let responsibilities = try await add(
            city.responsibilities,
            """
            INSERT INTO gis.responsibility (responsibility_id, area_id, district_id, person_id, person_name, period)
            SELECT responsibility_id, area_id, district_id, person_id, person_name,
                   tstzrange('2026-01-01T00:00:00Z', NULL)
            FROM jsonb_to_recordset($1::jsonb) AS x (
                responsibility_id uuid, area_id uuid, district_id uuid, person_id uuid, person_name text)
            ON CONFLICT DO NOTHING
            """)
        let facilities = try await add(
            city.facilities,
            """
            INSERT INTO gis.facility (facility_id, kind, system, source, source_id, code, district_id, community_id,
                                      grid_or_street_id, geometry, diameter_mm, length_m, up_node, down_node,
                                      up_invert_m, down_invert_m, material, attributes)
            SELECT facility_id, kind, system, source, source_id, code, district_id,
                   CASE WHEN around.level = 'community' THEN around.area_id END,
                   CASE WHEN around.level <> 'community' THEN around.area_id END,
                   geometry, diameter_mm, length_m, up_node, down_node, up_invert_m, down_invert_m, material,
                   '{"sample": true}'
            FROM (
                SELECT facility_id, kind, system, source, source_id, code, district_id, diameter_mm, length_m, up_node,
                       down_node, up_invert_m, down_invert_m, material,
                       ST_SetSRID(ST_GeomFromGeoJSON(geojson), 4326) AS geometry
                FROM (
                    SELECT x.*, x.geometry AS geojson
                    FROM jsonb_to_recordset($1::jsonb) AS x (
                        facility_id uuid, kind text, system text, source text, source_id text, code text,
                        district_id uuid, geometry text, diameter_mm double precision, length_m double precision,
                        up_node text, down_node text, up_invert_m double precision, down_invert_m double precision,
                        material text)
                ) read
            ) placed
            LEFT JOIN LATERAL (
                -- As an import finds it: community, grid, street.
                SELECT a.area_id, a.level
                FROM gis.area a
                WHERE a.level IN ('community', 'grid', 'street') AND a.geometry && placed.geometry
                  AND ST_Covers(a.geometry, ST_PointOnSurface(placed.geometry))
                ORDER BY a.level, ST_Area(a.geometry), a.area_id
                LIMIT 1
            ) around ON true
            ON CONFLICT DO NOTHING
            """)
        return [
            SeededTable("gis.area", areas), SeededTable("gis.responsibility", responsibilities),
            SeededTable("gis.facility", facilities),
        ]
    }
}
