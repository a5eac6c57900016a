extension SampleRows {
    /// Into dispatch: the catalogue, crews and who belongs to them.
    func addOperations(_ city: SampleCity) async throws -> [SeededTable] {
        let categories = try await add(
            city.categories,
            """
            INSERT INTO dispatch.category (
                code, kind, category_group, name_zh, name_en, severity, emergency_words, emergency_places,
                always_emergency, merge_radius_m, merge_window_min, skills, respond_min, arrive_min, resolve_min,
                storm_respond_min, storm_arrive_min, storm_resolve_min, position, changed_by)
            SELECT code, kind, category_group, name_zh, name_en, severity, emergency_words, emergency_places,
                   always_emergency, merge_radius_m, merge_window_min, skills, respond_min, arrive_min, resolve_min,
                   storm_respond_min, storm_arrive_min, storm_resolve_min, position, 'sample'
            FROM jsonb_to_recordset($1::jsonb) AS x (
                code text, kind text, category_group text, name_zh text, name_en text, severity smallint,
                emergency_words text[], emergency_places text[], always_emergency boolean, merge_radius_m integer,
                merge_window_min integer, skills text[], respond_min integer, arrive_min integer, resolve_min integer,
                storm_respond_min integer, storm_arrive_min integer, storm_resolve_min integer, position integer)
            ON CONFLICT DO NOTHING
            """)
        let crews = try await add(
            city.crews,
            """
            INSERT INTO dispatch.crew (crew_id, district_id, name, vehicle, skills, depot_lon, depot_lat)
            SELECT crew_id, district_id, name, vehicle, skills, depot_lon, depot_lat
            FROM jsonb_to_recordset($1::jsonb) AS x (
                crew_id uuid, district_id uuid, name text, vehicle text, skills text[], depot_lon double precision,
                depot_lat double precision)
            ON CONFLICT DO NOTHING
            """)
        let members = try await add(
            city.crews,
            """
            INSERT INTO dispatch.crew_member (account_id, crew_id, district_id)
            SELECT account_id, crew_id, district_id
            FROM jsonb_to_recordset($1::jsonb) AS x (account_id uuid, crew_id uuid, district_id uuid)
            ON CONFLICT DO NOTHING
            """)
        return [
            SeededTable("dispatch.category", categories), SeededTable("dispatch.crew", crews),
            SeededTable("dispatch.crew_member", members),
        ]
    }
}
