/// Two districts with one of everything, and three categories: enough for a report to have a place and a meaning.
enum SmallCity {
    static let first = "00000000-0000-7000-8000-00000000d001"
    static let second = "00000000-0000-7000-8000-00000000d002"

    static let rows = """
        SET sluice.districts = '*';
        INSERT INTO gis.area (
            area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, tags, geometry)
        VALUES
            ('\(first)', 'district', 'D1', '一区', 'First', NULL, '\(first)', NULL, '{}',
             ST_Multi(ST_MakeEnvelope(114.00, 22.50, 114.05, 22.60, 4326))),
            ('\(second)', 'district', 'D2', '二区', 'Second', NULL, '\(second)', NULL, '{}',
             ST_Multi(ST_MakeEnvelope(114.05, 22.50, 114.10, 22.60, 4326))),
            ('00000000-0000-7000-8000-00000000d101', 'street', 'S1', '一街', 'Street one', '\(first)', '\(first)', NULL,
             '{}', ST_Multi(ST_MakeEnvelope(114.00, 22.50, 114.05, 22.55, 4326))),
            ('00000000-0000-7000-8000-00000000d201', 'community', 'C1', '一小区', 'Community one',
             '00000000-0000-7000-8000-00000000d101', '\(first)', 'residential', '{}',
             ST_Multi(ST_MakeEnvelope(114.01, 22.51, 114.02, 22.52, 4326))),
            ('00000000-0000-7000-8000-00000000d301', 'special', 'U1', '下穿通道', 'Underpass',
             '00000000-0000-7000-8000-00000000d101', '\(first)', NULL, '{underpass}',
             ST_Multi(ST_MakeEnvelope(114.03, 22.53, 114.031, 22.531, 4326)));
        INSERT INTO gis.facility (kind, source, source_id, code, district_id, geometry)
        VALUES ('manhole', 'test', '1', 'MH-1', '\(first)', ST_SetSRID(ST_MakePoint(114.012, 22.512), 4326));
        INSERT INTO dispatch.category (
            code, kind, category_group, name_zh, name_en, severity, emergency_words, emergency_places,
            always_emergency, merge_radius_m, merge_window_min, respond_min, arrive_min, resolve_min,
            storm_respond_min, storm_arrive_min, storm_resolve_min, active)
        VALUES
            ('missing_cover', 'hazard', 'cover', '井盖缺失', 'Missing cover', 4, '{}', '{}', true, 30, 1440, 15, 60, 240,
             15, 60, 240, true),
            ('flooding', 'hazard', 'water', '积水', 'Flooding', 3, '{waist deep}', '{underpass}', false, 80, 240, 30, 90,
             480, 15, 60, 240, true),
            ('blocked_gully', 'request', 'water', '雨水口堵塞', 'Blocked gully', 2, '{}', '{}', false, 30, 1440, 120, 480,
             2880, 120, 480, 2880, true),
            ('retired', 'request', 'water', '停用', 'Retired', 2, '{}', '{}', false, 30, 1440, 120, 480, 2880, 120, 480,
             2880, false);
        """
}
