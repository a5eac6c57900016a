import FoundationEssentials
import Model
import Postgres

/// The SQL of an import of areas.
enum AreaImportStore {
    /// Validates and writes the staged rows in (after, through]. Answers one row: the counts of the chunk, and the
    /// areas that were added or changed as a JSON array of {id, version, district, code}.
    ///
    /// A row is refused when it has no code that fits, no name, no parent that is there, no type if it is a community,
    /// or no shape; when it lies outside its parent; or when an area of its level and code belongs to another district.
    /// A name in one language stands in for the other; crossing rings are put in order; words that are no tags go. Each
    /// of these has an issue that says so.
    static func writeChunk(_ id: UUID, _ profile: AreaProfile, after: Int, through: Int) -> SQL {
        """
        WITH staged AS MATERIALIZED (
            SELECT s.row_number, gis.read_json(s.feature) AS feature
            FROM gis.import_staging s
            WHERE s.import_id = \(id) AND s.row_number > \(after)::int AND s.row_number <= \(through)::int
        ), raw AS MATERIALIZED (
            SELECT s.row_number, s.feature IS NULL AS unreadable,
                   nullif(btrim(p.properties ->> \(profile.code)::text), '') AS code,
                   nullif(btrim(p.properties ->> \(profile.nameZH)::text), '') AS name_zh,
                   nullif(btrim(p.properties ->> \(profile.nameEN)::text), '') AS name_en,
                   nullif(btrim(p.properties ->> \(profile.parent)::text), '') AS parent,
                   CASE WHEN \(profile.level)::text = 'community'
                        THEN lower(btrim(p.properties ->> \(profile.communityType)::text)) END AS community_type,
                   gis.read_tags(p.properties -> \(profile.tags)::text) AS tags, g.shape, g.fault
            FROM staged s
            CROSS JOIN LATERAL (
                SELECT CASE WHEN jsonb_typeof(s.feature -> 'properties') = 'object'
                            THEN s.feature -> 'properties' ELSE '{}' END AS properties
            ) p
            CROSS JOIN LATERAL gis.read_area(s.feature -> 'geometry') g
        ), placed AS MATERIALIZED (
            SELECT r.*, coalesce(r.name_zh, r.name_en) AS zh, coalesce(r.name_en, r.name_zh) AS en,
                   ARRAY(SELECT t FROM unnest(r.tags) t WHERE t ~ '^[a-z][a-z0-9_]{0,47}$' ORDER BY t) AS fit_tags,
                   k.district_id AS known_district, p.area_id AS parent_id, p.district_id AS parent_district,
                   ST_Covers(p.geometry, ST_PointOnSurface(r.shape)) AS inside_parent
            FROM raw r
            LEFT JOIN gis.area k ON k.level = \(profile.level)::text AND k.code = r.code
            LEFT JOIN LATERAL (
                SELECT a.area_id, a.district_id, a.geometry
                FROM gis.area a
                WHERE a.level = ANY (\(profile.parents)::text[]) AND a.code = r.parent
                ORDER BY array_position(\(profile.parents)::text[], a.level)
                LIMIT 1
            ) p ON true
        ), checked AS MATERIALIZED (
            SELECT p.*,
                   CASE WHEN p.unreadable THEN 'unreadable'
                        WHEN p.code IS NULL THEN 'no_code'
                        WHEN p.code !~ '^[A-Za-z0-9_-]{1,64}$' THEN 'unfit_code'
                        WHEN lower(p.code) = ANY (\(AreaProfile.reserved)::text[]) THEN 'reserved_code'
                        WHEN p.zh IS NULL THEN 'no_name'
                        WHEN length(p.zh) > 120 OR length(p.en) > 120 THEN 'long_name'
                        WHEN \(profile.level)::text = 'community' AND coalesce(p.community_type, '')
                             <> ALL (\(CommunityType.allCases)::text[]) THEN 'no_type'
                        WHEN \(profile.level)::text <> 'district' AND p.parent IS NULL THEN 'no_parent'
                        WHEN \(profile.level)::text <> 'district' AND p.parent_id IS NULL THEN 'unknown_parent'
                        WHEN p.shape IS NULL THEN p.fault
                        WHEN NOT p.inside_parent THEN 'outside_parent'
                        WHEN p.known_district <> p.parent_district THEN 'other_district'
                   END AS refused
            FROM placed p
        ), seen AS (
            -- Of several rows with one code the first counts, also across chunks.
            INSERT INTO gis.import_seen (import_id, source_id)
            SELECT \(id), c.code FROM checked c WHERE c.refused IS NULL GROUP BY c.code
            ON CONFLICT DO NOTHING
            RETURNING source_id
        ), judged AS MATERIALIZED (
            SELECT c.row_number, c.code, c.name_zh, c.name_en, c.zh, c.en, c.community_type, c.tags, c.fit_tags,
                   c.parent_id, c.parent_district, c.shape, c.fault,
                   CASE WHEN c.refused IS NOT NULL THEN c.refused
                        WHEN s.source_id IS NULL OR c.row_number > min(c.row_number)
                             FILTER (WHERE c.refused IS NULL) OVER (PARTITION BY c.code) THEN 'duplicate'
                   END AS refused
            FROM checked c
            LEFT JOIN seen s ON s.source_id = c.code
        ), issue AS (
            INSERT INTO gis.import_issue (import_id, district_id, row_number, source_id, severity, field, code, detail)
            SELECT \(id), sluice.city(), j.row_number, left(j.code, 200), i.severity, i.field, i.code, i.detail
            FROM judged j
            CROSS JOIN LATERAL (VALUES \(issues(profile))) AS i (applies, severity, field, code, detail)
            WHERE i.applies
        ), written AS (
            INSERT INTO gis.area AS a (
                area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, tags, geometry)
            SELECT n.area_id, \(profile.level), n.code, n.zh, n.en, n.parent_id,
                   coalesce(n.parent_district, n.area_id), n.community_type, n.fit_tags, n.shape
            FROM (SELECT j.*, sluice.uuid_v7() AS area_id FROM judged j WHERE j.refused IS NULL OFFSET 0) n
            ON CONFLICT (level, code) DO UPDATE
            SET name_zh = excluded.name_zh, name_en = excluded.name_en, parent_id = excluded.parent_id,
                community_type = excluded.community_type, tags = excluded.tags, geometry = excluded.geometry,
                version = a.version + 1, changed_at = clock_timestamp()
            WHERE (a.name_zh, a.name_en, a.parent_id, a.community_type, a.tags)
                  IS DISTINCT FROM
                  (excluded.name_zh, excluded.name_en, excluded.parent_id, excluded.community_type, excluded.tags)
               OR NOT a.geometry ~= excluded.geometry OR NOT ST_OrderingEquals(a.geometry, excluded.geometry)
            RETURNING a.area_id, a.version, a.district_id, a.code
        )
        SELECT (SELECT count(*) FROM judged)::int AS read,
               (SELECT count(*) FROM judged WHERE refused IS NOT NULL)::int AS refused,
               (SELECT count(*) FROM written WHERE version = 1)::int AS added,
               (SELECT count(*) FROM written WHERE version > 1)::int AS changed,
               coalesce((SELECT jsonb_agg(jsonb_build_object('id', w.area_id, 'version', w.version,
                                                             'district', w.district_id, 'code', w.code))
                         FROM written w), '[]') AS areas
        """
    }

    /// What may be said of a row: whether it applies, severity, field, code, detail.
    private static func issues(_ profile: AreaProfile) -> SQL {
        let code: SQL = "'properties.' || \(profile.code)::text"
        let parent: SQL = "'properties.' || \(profile.parent)::text"
        let types = CommunityType.allCases.map(\.rawValue).joined(separator: ", ")
        let parents = profile.parents.map(\.rawValue).joined(separator: " or ")
        return """
            (j.refused = 'unreadable', 'refused', 'feature', 'unreadable', 'the feature is not valid JSON'),
            (j.refused = 'no_code', 'refused', \(code), 'missing', 'the property with the code is missing or empty'),
            (j.refused = 'unfit_code', 'refused', \(code), 'unfit',
             'a code has 1 to 64 letters, digits, underscores and hyphens'),
            (j.refused = 'reserved_code', 'refused', \(code), 'reserved', 'this code means something else here'),
            (j.refused = 'duplicate', 'refused', \(code), 'duplicate', 'an earlier row of this import has the same code'),
            (j.refused = 'other_district', 'refused', \(code), 'other_district',
             'an area of this level and code belongs to another district, and areas do not change districts'),
            (j.refused = 'no_name', 'refused', 'properties.' || \(profile.nameZH)::text, 'missing',
             'a name in Chinese or in English is wanted'),
            (j.refused = 'long_name', 'refused', 'properties.' || \(profile.nameZH)::text, 'too_long',
             'a name has at most 120 characters'),
            (j.refused = 'no_type', 'refused', 'properties.' || \(profile.communityType)::text, 'not_allowed',
             'a community is one of ' || \(types)::text),
            (j.refused = 'no_parent', 'refused', \(parent), 'missing',
             'the property with the code of the ' || \(parents)::text || ' is missing or empty'),
            (j.refused = 'unknown_parent', 'refused', \(parent), 'unknown',
             'there is no ' || \(parents)::text || ' with this code; import those first'),
            (j.refused = 'invalid', 'refused', 'geometry', 'invalid',
             'a GeoJSON polygon in longitude and latitude that encloses something is wanted'),
            (j.refused = 'wrong_type', 'refused', 'geometry.type', 'wrong_type',
             'an area is a Polygon or MultiPolygon'),
            (j.refused = 'outside_parent', 'refused', 'geometry.coordinates', 'outside_parent',
             'the area lies outside the one that it names as its parent'),
            (j.refused IS NULL AND j.fault = 'repaired', 'repaired', 'geometry', 'repaired',
             'the rings crossed or doubled back and were put in order; look at the map whether this is what was meant'),
            (j.refused IS NULL AND j.name_zh IS NULL, 'repaired', 'properties.' || \(profile.nameZH)::text, 'missing',
             'the English name stands in'),
            (j.refused IS NULL AND j.name_en IS NULL, 'repaired', 'properties.' || \(profile.nameEN)::text, 'missing',
             'the Chinese name stands in'),
            (j.refused IS NULL AND j.tags <> j.fit_tags, 'repaired', 'properties.' || \(profile.tags)::text, 'unfit',
             'a tag is a word of a-z, 0-9 and underscore, such as underpass; the others were left out')
            """
    }
}
