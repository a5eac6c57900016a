SET sluice.districts='*';
INSERT INTO gis.area (area_id, level, code, name_zh, name_en, district_id, geometry) SELECT x::uuid,'district',right(x,3),'q','q',x::uuid, ST_Multi(ST_MakeEnvelope(114,22,115,23,4326)) FROM unnest(ARRAY['0000000d-0000-7000-8000-000000000001','0000000d-0000-7000-8000-000000000002']) x;
INSERT INTO gis.import(import_id,district_id,source,kind,profile,started_by) VALUES('0000000b-0000-7000-8000-000000000001','0000000d-0000-7000-8000-000000000001','survey','pipe','{}','t');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000001',1,'{"type":"Feature","properties":{"GISID":1,"UP":"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000001',2,'{"type":"Feature","properties":{"GISID":2},"geometry":{"type":"LineString","coordinates":[[114.06,22.54],[-65.94,-22.54]]}}');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000001',3,'{"type":"Feature","properties":{"GISID":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxa"},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000001',4,'{"type":"Feature","properties":{"GISID":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxb"},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000001',5,'{"type":"Feature","properties":{"GISID":null},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000001',6,'{"type":"Feature","properties":{"GISID":1},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
PREPARE c(uuid,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,uuid,unknown,unknown,uuid,uuid,uuid,uuid,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,uuid) AS 
        WITH staged AS MATERIALIZED (
            SELECT s.row_number, gis.read_json(s.feature) AS feature
            FROM gis.import_staging s
            WHERE s.import_id = $1 AND s.row_number > $2::int AND s.row_number <= $3::int
        ), raw AS MATERIALIZED (
            SELECT s.row_number, s.feature IS NULL AS unreadable, p.properties,
                   nullif(btrim(p.properties ->> $4::text), '') AS source_id,
                   gis.read_geometry(s.feature -> 'geometry') AS geometry,
                   gis.read_number(p.properties ->> $5::text) AS diameter_mm,
                   gis.read_number(p.properties ->> $6::text) AS length_m,
                   nullif(btrim(p.properties ->> $7::text), '') AS up_node,
                   nullif(btrim(p.properties ->> $8::text), '') AS down_node,
                   gis.read_number(p.properties ->> $9::text) AS up_invert_m,
                   gis.read_number(p.properties ->> $10::text) AS down_invert_m,
                   nullif(btrim(p.properties ->> $11::text), '') AS material
            FROM staged s
            CROSS JOIN LATERAL (
                SELECT CASE WHEN jsonb_typeof(s.feature -> 'properties') = 'object'
                            THEN s.feature -> 'properties' ELSE '{}' END AS properties
            ) p
        ), placed AS MATERIALIZED (
            SELECT r.*, ST_PointOnSurface(r.geometry) AS inside
            FROM raw r
        ), checked AS MATERIALIZED (
            SELECT p.*,
                   CASE WHEN p.unreadable THEN 'unreadable'
                        WHEN p.source_id IS NULL THEN 'missing'
                        WHEN length(p.source_id) > 64 THEN 'too_long'
                        WHEN p.geometry IS NULL THEN 'invalid'
                        WHEN ($12::text = 'pipe')
                             <> (GeometryType(p.geometry) IN ('LINESTRING', 'MULTILINESTRING')) THEN 'wrong_type'
                        WHEN $13::text IN ('manhole', 'gully', 'outfall')
                             AND GeometryType(p.geometry) <> 'POINT' THEN 'wrong_type'
                        WHEN NOT EXISTS (
                            SELECT FROM gis.area a
                            WHERE a.area_id = $14 AND a.level = 'district' AND a.geometry && p.inside
                              AND ST_Covers(a.geometry, p.inside)) THEN 'outside_district'
                        -- By the unique index, row by row: an EXISTS might be answered by reading the whole table.
                        WHEN (SELECT f.district_id FROM gis.facility f
                              WHERE f.source = $15 AND f.kind = $16
                                AND f.source_id = p.source_id) <> $17 THEN 'other_district'
                   END AS refused
            FROM placed p
        ), seen AS (
            -- Of several rows with one id the first counts, also across chunks.
            INSERT INTO gis.import_seen (import_id, source_id)
            SELECT $18, c.source_id FROM checked c WHERE c.refused IS NULL GROUP BY c.source_id
            ON CONFLICT DO NOTHING
            RETURNING source_id
        ), judged AS MATERIALIZED (
            SELECT c.row_number, c.source_id, c.geometry, c.inside, c.properties, c.diameter_mm, c.length_m, c.up_node,
                   c.down_node, c.up_invert_m, c.down_invert_m, c.material,
                   CASE WHEN c.refused IS NOT NULL THEN c.refused
                        WHEN s.source_id IS NULL OR c.row_number > min(c.row_number)
                             FILTER (WHERE c.refused IS NULL) OVER (PARTITION BY c.source_id) THEN 'duplicate'
                   END AS refused
            FROM checked c
            LEFT JOIN seen s ON s.source_id = c.source_id
        ), issue AS (
            INSERT INTO gis.import_issue (import_id, district_id, row_number, source_id, severity, field, code, detail)
            -- An id is shown, never found again by what is shown: 200 characters tell which.
            SELECT $19, $20, j.row_number, left(j.source_id, 200), i.severity, i.field, i.code, i.detail
            FROM judged j
            CROSS JOIN LATERAL (
                VALUES
                    (j.refused = 'unreadable', 'refused', 'feature', 'unreadable', 'the feature is not valid JSON'),
                    (j.refused = 'missing', 'refused', 'properties.' || $21::text, 'missing',
                     'the property that identifies the feature is missing or empty'),
                    (j.refused = 'too_long', 'refused', 'properties.' || $22::text, 'too_long',
                     'the property that identifies the feature has more than 64 characters'),
                    (j.refused = 'invalid', 'refused', 'geometry', 'invalid',
                     'a valid, non-empty GeoJSON geometry in longitude and latitude is wanted'),
                    (j.refused = 'wrong_type', 'refused', 'geometry.type', 'wrong_type',
                     'pipes are lines; manholes, gullies and outfalls are points'),
                    (j.refused = 'outside_district', 'refused', 'geometry.coordinates', 'outside_district',
                     'the feature lies outside the district of the import'),
                    (j.refused = 'other_district', 'refused', 'properties.' || $23::text, 'other_district',
                     'another district has a facility of this source, kind and id; give the source another name'),
                    (j.refused = 'duplicate', 'refused', 'properties.' || $24::text, 'duplicate',
                     'an earlier row of this import has the same id'),
                    (j.refused IS NULL AND length(j.up_node) > 64, 'repaired', 'up_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND length(j.down_node) > 64, 'repaired', 'down_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND j.diameter_mm <= 0, 'repaired', 'diameter_mm', 'not_positive',
                     'a diameter of 0 or less means unknown'),
                    (j.refused IS NULL AND j.length_m <= 0, 'repaired', 'length_m', 'not_positive',
                     'a length of 0 or less means unknown; the length of the line is used'),
                    (j.refused IS NULL AND j.up_node IN ('-1', '0'), 'repaired', 'up_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.down_node IN ('-1', '0'), 'repaired', 'down_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.up_invert_m = 0, 'repaired', 'up_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed'),
                    (j.refused IS NULL AND j.down_invert_m = 0, 'repaired', 'down_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed')
            ) AS i (applies, severity, field, code, detail)
            WHERE i.applies
            ON CONFLICT DO NOTHING
        ), good AS (
            SELECT j.row_number, j.source_id, j.geometry, j.properties, j.material,
                   CASE WHEN j.diameter_mm > 0 THEN j.diameter_mm END AS diameter_mm,
                   CASE WHEN j.length_m > 0 THEN j.length_m
                        WHEN $25::text = 'pipe' THEN nullif(ST_Length(j.geometry::geography), 0)
                   END AS length_m,
                   CASE WHEN j.up_node NOT IN ('-1', '0') AND length(j.up_node) <= 64 THEN j.up_node END AS up_node,
                   CASE WHEN j.down_node NOT IN ('-1', '0') AND length(j.down_node) <= 64
                        THEN j.down_node END AS down_node,
                   nullif(j.up_invert_m, 0) AS up_invert_m,
                   nullif(j.down_invert_m, 0) AS down_invert_m,
                   CASE WHEN a.level = 'community' THEN a.area_id END AS community_id,
                   CASE WHEN a.level <> 'community' THEN a.area_id END AS grid_or_street_id
            FROM judged j
            LEFT JOIN LATERAL (
                -- The innermost, which the alphabet gives: community, grid, street.
                SELECT n.area_id, n.level
                FROM gis.area n
                WHERE n.level IN ('community', 'grid', 'street')
                  AND n.geometry && j.inside AND ST_Covers(n.geometry, j.inside)
                ORDER BY n.level, ST_Area(n.geometry), n.area_id
                LIMIT 1
            ) a ON true
            WHERE j.refused IS NULL
        ), written AS (
            INSERT INTO gis.facility AS f (
                kind, system, source, source_id, code, district_id, community_id, grid_or_street_id, geometry,
                diameter_mm, length_m, up_node, down_node, up_invert_m, down_invert_m, material, attributes)
            SELECT $26, $27, $28, g.source_id,
                   $29 || '/' || g.source_id, $30, g.community_id, g.grid_or_street_id,
                   g.geometry, g.diameter_mm, g.length_m, g.up_node, g.down_node, g.up_invert_m, g.down_invert_m,
                   g.material, g.properties
            FROM good g
            ON CONFLICT (source, kind, source_id) DO UPDATE
            SET system = excluded.system, community_id = excluded.community_id,
                grid_or_street_id = excluded.grid_or_street_id, geometry = excluded.geometry, diameter_mm = excluded.diameter_mm, length_m = excluded.length_m,
                up_node = excluded.up_node, down_node = excluded.down_node, up_invert_m = excluded.up_invert_m,
                down_invert_m = excluded.down_invert_m, material = excluded.material,
                attributes = excluded.attributes, retired_at = NULL,
                version = f.version + 1, changed_at = clock_timestamp()
            -- The net under 'other_district': the same id may have come in for two districts at the same moment.
            WHERE f.district_id = excluded.district_id
              AND ((f.system, f.community_id, f.grid_or_street_id, f.diameter_mm, f.length_m, f.up_node, f.down_node,
                    f.up_invert_m, f.down_invert_m, f.material, f.attributes, f.retired_at)
                   IS DISTINCT FROM
                   (excluded.system, excluded.community_id, excluded.grid_or_street_id, excluded.diameter_mm,
                    excluded.length_m, excluded.up_node, excluded.down_node, excluded.up_invert_m,
                    excluded.down_invert_m, excluded.material, excluded.attributes, NULL::timestamptz)
                   OR NOT f.geometry ~= excluded.geometry OR NOT ST_OrderingEquals(f.geometry, excluded.geometry))
            RETURNING f.facility_id, f.version, f.district_id, f.code
        )
        SELECT (SELECT count(*) FROM judged)::int AS read,
               (SELECT count(*) FROM judged WHERE refused IS NOT NULL)::int AS refused,
               (SELECT count(*) FROM written WHERE version = 1)::int AS added,
               (SELECT count(*) FROM written WHERE version > 1)::int AS changed,
               coalesce((SELECT jsonb_agg(jsonb_build_object('id', w.facility_id, 'version', w.version,
                                                             'code', w.code))
                         FROM written w), '[]') AS facilities
        ;
EXECUTE c('0000000b-0000-7000-8000-000000000001',0,500,'GISID','DIAMETER','LENGTH','UP','DOWN','UP_Z',NULL,NULL,'pipe','pipe','0000000d-0000-7000-8000-000000000001','survey','pipe','0000000d-0000-7000-8000-000000000001','0000000b-0000-7000-8000-000000000001','0000000b-0000-7000-8000-000000000001','0000000d-0000-7000-8000-000000000001','GISID','GISID','GISID','GISID','pipe','pipe','storm','survey','survey','0000000d-0000-7000-8000-000000000001');
DEALLOCATE c;
SELECT row_number,source_id,severity,field,code FROM gis.import_issue WHERE import_id='0000000b-0000-7000-8000-000000000001' ORDER BY 1,4;
INSERT INTO gis.import(import_id,district_id,source,kind,profile,started_by) VALUES('0000000b-0000-7000-8000-000000000002','0000000d-0000-7000-8000-000000000002','survey','pipe','{}','t');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000002',1,'{"type":"Feature","properties":{"GISID":1},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000002',2,'{"type":"Feature","properties":{"GISID":7},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
PREPARE c(uuid,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,uuid,unknown,unknown,uuid,uuid,uuid,uuid,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,uuid) AS 
        WITH staged AS MATERIALIZED (
            SELECT s.row_number, gis.read_json(s.feature) AS feature
            FROM gis.import_staging s
            WHERE s.import_id = $1 AND s.row_number > $2::int AND s.row_number <= $3::int
        ), raw AS MATERIALIZED (
            SELECT s.row_number, s.feature IS NULL AS unreadable, p.properties,
                   nullif(btrim(p.properties ->> $4::text), '') AS source_id,
                   gis.read_geometry(s.feature -> 'geometry') AS geometry,
                   gis.read_number(p.properties ->> $5::text) AS diameter_mm,
                   gis.read_number(p.properties ->> $6::text) AS length_m,
                   nullif(btrim(p.properties ->> $7::text), '') AS up_node,
                   nullif(btrim(p.properties ->> $8::text), '') AS down_node,
                   gis.read_number(p.properties ->> $9::text) AS up_invert_m,
                   gis.read_number(p.properties ->> $10::text) AS down_invert_m,
                   nullif(btrim(p.properties ->> $11::text), '') AS material
            FROM staged s
            CROSS JOIN LATERAL (
                SELECT CASE WHEN jsonb_typeof(s.feature -> 'properties') = 'object'
                            THEN s.feature -> 'properties' ELSE '{}' END AS properties
            ) p
        ), placed AS MATERIALIZED (
            SELECT r.*, ST_PointOnSurface(r.geometry) AS inside
            FROM raw r
        ), checked AS MATERIALIZED (
            SELECT p.*,
                   CASE WHEN p.unreadable THEN 'unreadable'
                        WHEN p.source_id IS NULL THEN 'missing'
                        WHEN length(p.source_id) > 64 THEN 'too_long'
                        WHEN p.geometry IS NULL THEN 'invalid'
                        WHEN ($12::text = 'pipe')
                             <> (GeometryType(p.geometry) IN ('LINESTRING', 'MULTILINESTRING')) THEN 'wrong_type'
                        WHEN $13::text IN ('manhole', 'gully', 'outfall')
                             AND GeometryType(p.geometry) <> 'POINT' THEN 'wrong_type'
                        WHEN NOT EXISTS (
                            SELECT FROM gis.area a
                            WHERE a.area_id = $14 AND a.level = 'district' AND a.geometry && p.inside
                              AND ST_Covers(a.geometry, p.inside)) THEN 'outside_district'
                        -- By the unique index, row by row: an EXISTS might be answered by reading the whole table.
                        WHEN (SELECT f.district_id FROM gis.facility f
                              WHERE f.source = $15 AND f.kind = $16
                                AND f.source_id = p.source_id) <> $17 THEN 'other_district'
                   END AS refused
            FROM placed p
        ), seen AS (
            -- Of several rows with one id the first counts, also across chunks.
            INSERT INTO gis.import_seen (import_id, source_id)
            SELECT $18, c.source_id FROM checked c WHERE c.refused IS NULL GROUP BY c.source_id
            ON CONFLICT DO NOTHING
            RETURNING source_id
        ), judged AS MATERIALIZED (
            SELECT c.row_number, c.source_id, c.geometry, c.inside, c.properties, c.diameter_mm, c.length_m, c.up_node,
                   c.down_node, c.up_invert_m, c.down_invert_m, c.material,
                   CASE WHEN c.refused IS NOT NULL THEN c.refused
                        WHEN s.source_id IS NULL OR c.row_number > min(c.row_number)
                             FILTER (WHERE c.refused IS NULL) OVER (PARTITION BY c.source_id) THEN 'duplicate'
                   END AS refused
            FROM checked c
            LEFT JOIN seen s ON s.source_id = c.source_id
        ), issue AS (
            INSERT INTO gis.import_issue (import_id, district_id, row_number, source_id, severity, field, code, detail)
            -- An id is shown, never found again by what is shown: 200 characters tell which.
            SELECT $19, $20, j.row_number, left(j.source_id, 200), i.severity, i.field, i.code, i.detail
            FROM judged j
            CROSS JOIN LATERAL (
                VALUES
                    (j.refused = 'unreadable', 'refused', 'feature', 'unreadable', 'the feature is not valid JSON'),
                    (j.refused = 'missing', 'refused', 'properties.' || $21::text, 'missing',
                     'the property that identifies the feature is missing or empty'),
                    (j.refused = 'too_long', 'refused', 'properties.' || $22::text, 'too_long',
                     'the property that identifies the feature has more than 64 characters'),
                    (j.refused = 'invalid', 'refused', 'geometry', 'invalid',
                     'a valid, non-empty GeoJSON geometry in longitude and latitude is wanted'),
                    (j.refused = 'wrong_type', 'refused', 'geometry.type', 'wrong_type',
                     'pipes are lines; manholes, gullies and outfalls are points'),
                    (j.refused = 'outside_district', 'refused', 'geometry.coordinates', 'outside_district',
                     'the feature lies outside the district of the import'),
                    (j.refused = 'other_district', 'refused', 'properties.' || $23::text, 'other_district',
                     'another district has a facility of this source, kind and id; give the source another name'),
                    (j.refused = 'duplicate', 'refused', 'properties.' || $24::text, 'duplicate',
                     'an earlier row of this import has the same id'),
                    (j.refused IS NULL AND length(j.up_node) > 64, 'repaired', 'up_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND length(j.down_node) > 64, 'repaired', 'down_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND j.diameter_mm <= 0, 'repaired', 'diameter_mm', 'not_positive',
                     'a diameter of 0 or less means unknown'),
                    (j.refused IS NULL AND j.length_m <= 0, 'repaired', 'length_m', 'not_positive',
                     'a length of 0 or less means unknown; the length of the line is used'),
                    (j.refused IS NULL AND j.up_node IN ('-1', '0'), 'repaired', 'up_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.down_node IN ('-1', '0'), 'repaired', 'down_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.up_invert_m = 0, 'repaired', 'up_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed'),
                    (j.refused IS NULL AND j.down_invert_m = 0, 'repaired', 'down_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed')
            ) AS i (applies, severity, field, code, detail)
            WHERE i.applies
            ON CONFLICT DO NOTHING
        ), good AS (
            SELECT j.row_number, j.source_id, j.geometry, j.properties, j.material,
                   CASE WHEN j.diameter_mm > 0 THEN j.diameter_mm END AS diameter_mm,
                   CASE WHEN j.length_m > 0 THEN j.length_m
                        WHEN $25::text = 'pipe' THEN nullif(ST_Length(j.geometry::geography), 0)
                   END AS length_m,
                   CASE WHEN j.up_node NOT IN ('-1', '0') AND length(j.up_node) <= 64 THEN j.up_node END AS up_node,
                   CASE WHEN j.down_node NOT IN ('-1', '0') AND length(j.down_node) <= 64
                        THEN j.down_node END AS down_node,
                   nullif(j.up_invert_m, 0) AS up_invert_m,
                   nullif(j.down_invert_m, 0) AS down_invert_m,
                   CASE WHEN a.level = 'community' THEN a.area_id END AS community_id,
                   CASE WHEN a.level <> 'community' THEN a.area_id END AS grid_or_street_id
            FROM judged j
            LEFT JOIN LATERAL (
                -- The innermost, which the alphabet gives: community, grid, street.
                SELECT n.area_id, n.level
                FROM gis.area n
                WHERE n.level IN ('community', 'grid', 'street')
                  AND n.geometry && j.inside AND ST_Covers(n.geometry, j.inside)
                ORDER BY n.level, ST_Area(n.geometry), n.area_id
                LIMIT 1
            ) a ON true
            WHERE j.refused IS NULL
        ), written AS (
            INSERT INTO gis.facility AS f (
                kind, system, source, source_id, code, district_id, community_id, grid_or_street_id, geometry,
                diameter_mm, length_m, up_node, down_node, up_invert_m, down_invert_m, material, attributes)
            SELECT $26, $27, $28, g.source_id,
                   $29 || '/' || g.source_id, $30, g.community_id, g.grid_or_street_id,
                   g.geometry, g.diameter_mm, g.length_m, g.up_node, g.down_node, g.up_invert_m, g.down_invert_m,
                   g.material, g.properties
            FROM good g
            ON CONFLICT (source, kind, source_id) DO UPDATE
            SET system = excluded.system, community_id = excluded.community_id,
                grid_or_street_id = excluded.grid_or_street_id, geometry = excluded.geometry, diameter_mm = excluded.diameter_mm, length_m = excluded.length_m,
                up_node = excluded.up_node, down_node = excluded.down_node, up_invert_m = excluded.up_invert_m,
                down_invert_m = excluded.down_invert_m, material = excluded.material,
                attributes = excluded.attributes, retired_at = NULL,
                version = f.version + 1, changed_at = clock_timestamp()
            -- The net under 'other_district': the same id may have come in for two districts at the same moment.
            WHERE f.district_id = excluded.district_id
              AND ((f.system, f.community_id, f.grid_or_street_id, f.diameter_mm, f.length_m, f.up_node, f.down_node,
                    f.up_invert_m, f.down_invert_m, f.material, f.attributes, f.retired_at)
                   IS DISTINCT FROM
                   (excluded.system, excluded.community_id, excluded.grid_or_street_id, excluded.diameter_mm,
                    excluded.length_m, excluded.up_node, excluded.down_node, excluded.up_invert_m,
                    excluded.down_invert_m, excluded.material, excluded.attributes, NULL::timestamptz)
                   OR NOT f.geometry ~= excluded.geometry OR NOT ST_OrderingEquals(f.geometry, excluded.geometry))
            RETURNING f.facility_id, f.version, f.district_id, f.code
        )
        SELECT (SELECT count(*) FROM judged)::int AS read,
               (SELECT count(*) FROM judged WHERE refused IS NOT NULL)::int AS refused,
               (SELECT count(*) FROM written WHERE version = 1)::int AS added,
               (SELECT count(*) FROM written WHERE version > 1)::int AS changed,
               coalesce((SELECT jsonb_agg(jsonb_build_object('id', w.facility_id, 'version', w.version,
                                                             'code', w.code))
                         FROM written w), '[]') AS facilities
        ;
EXECUTE c('0000000b-0000-7000-8000-000000000002',0,500,'GISID','DIAMETER','LENGTH','UP','DOWN','UP_Z',NULL,NULL,'pipe','pipe','0000000d-0000-7000-8000-000000000002','survey','pipe','0000000d-0000-7000-8000-000000000002','0000000b-0000-7000-8000-000000000002','0000000b-0000-7000-8000-000000000002','0000000d-0000-7000-8000-000000000002','GISID','GISID','GISID','GISID','pipe','pipe','storm','survey','survey','0000000d-0000-7000-8000-000000000002');
DEALLOCATE c;
SELECT row_number,source_id,severity,field,code FROM gis.import_issue WHERE import_id='0000000b-0000-7000-8000-000000000002' ORDER BY 1,4;
INSERT INTO gis.import(import_id,district_id,source,kind,profile,started_by) VALUES('0000000b-0000-7000-8000-000000000003','0000000d-0000-7000-8000-000000000001','survey','pipe','{}','t');
INSERT INTO gis.import_staging VALUES('0000000b-0000-7000-8000-000000000003',1,'{"type":"Feature","properties":{"GISID":1,"DIAMETER":300},"geometry":{"type":"LineString","coordinates":[[114.1,22.5],[114.101,22.5]]}}');
PREPARE c(uuid,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,uuid,unknown,unknown,uuid,uuid,uuid,uuid,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,unknown,uuid) AS 
        WITH staged AS MATERIALIZED (
            SELECT s.row_number, gis.read_json(s.feature) AS feature
            FROM gis.import_staging s
            WHERE s.import_id = $1 AND s.row_number > $2::int AND s.row_number <= $3::int
        ), raw AS MATERIALIZED (
            SELECT s.row_number, s.feature IS NULL AS unreadable, p.properties,
                   nullif(btrim(p.properties ->> $4::text), '') AS source_id,
                   gis.read_geometry(s.feature -> 'geometry') AS geometry,
                   gis.read_number(p.properties ->> $5::text) AS diameter_mm,
                   gis.read_number(p.properties ->> $6::text) AS length_m,
                   nullif(btrim(p.properties ->> $7::text), '') AS up_node,
                   nullif(btrim(p.properties ->> $8::text), '') AS down_node,
                   gis.read_number(p.properties ->> $9::text) AS up_invert_m,
                   gis.read_number(p.properties ->> $10::text) AS down_invert_m,
                   nullif(btrim(p.properties ->> $11::text), '') AS material
            FROM staged s
            CROSS JOIN LATERAL (
                SELECT CASE WHEN jsonb_typeof(s.feature -> 'properties') = 'object'
                            THEN s.feature -> 'properties' ELSE '{}' END AS properties
            ) p
        ), placed AS MATERIALIZED (
            SELECT r.*, ST_PointOnSurface(r.geometry) AS inside
            FROM raw r
        ), checked AS MATERIALIZED (
            SELECT p.*,
                   CASE WHEN p.unreadable THEN 'unreadable'
                        WHEN p.source_id IS NULL THEN 'missing'
                        WHEN length(p.source_id) > 64 THEN 'too_long'
                        WHEN p.geometry IS NULL THEN 'invalid'
                        WHEN ($12::text = 'pipe')
                             <> (GeometryType(p.geometry) IN ('LINESTRING', 'MULTILINESTRING')) THEN 'wrong_type'
                        WHEN $13::text IN ('manhole', 'gully', 'outfall')
                             AND GeometryType(p.geometry) <> 'POINT' THEN 'wrong_type'
                        WHEN NOT EXISTS (
                            SELECT FROM gis.area a
                            WHERE a.area_id = $14 AND a.level = 'district' AND a.geometry && p.inside
                              AND ST_Covers(a.geometry, p.inside)) THEN 'outside_district'
                        -- By the unique index, row by row: an EXISTS might be answered by reading the whole table.
                        WHEN (SELECT f.district_id FROM gis.facility f
                              WHERE f.source = $15 AND f.kind = $16
                                AND f.source_id = p.source_id) <> $17 THEN 'other_district'
                   END AS refused
            FROM placed p
        ), seen AS (
            -- Of several rows with one id the first counts, also across chunks.
            INSERT INTO gis.import_seen (import_id, source_id)
            SELECT $18, c.source_id FROM checked c WHERE c.refused IS NULL GROUP BY c.source_id
            ON CONFLICT DO NOTHING
            RETURNING source_id
        ), judged AS MATERIALIZED (
            SELECT c.row_number, c.source_id, c.geometry, c.inside, c.properties, c.diameter_mm, c.length_m, c.up_node,
                   c.down_node, c.up_invert_m, c.down_invert_m, c.material,
                   CASE WHEN c.refused IS NOT NULL THEN c.refused
                        WHEN s.source_id IS NULL OR c.row_number > min(c.row_number)
                             FILTER (WHERE c.refused IS NULL) OVER (PARTITION BY c.source_id) THEN 'duplicate'
                   END AS refused
            FROM checked c
            LEFT JOIN seen s ON s.source_id = c.source_id
        ), issue AS (
            INSERT INTO gis.import_issue (import_id, district_id, row_number, source_id, severity, field, code, detail)
            -- An id is shown, never found again by what is shown: 200 characters tell which.
            SELECT $19, $20, j.row_number, left(j.source_id, 200), i.severity, i.field, i.code, i.detail
            FROM judged j
            CROSS JOIN LATERAL (
                VALUES
                    (j.refused = 'unreadable', 'refused', 'feature', 'unreadable', 'the feature is not valid JSON'),
                    (j.refused = 'missing', 'refused', 'properties.' || $21::text, 'missing',
                     'the property that identifies the feature is missing or empty'),
                    (j.refused = 'too_long', 'refused', 'properties.' || $22::text, 'too_long',
                     'the property that identifies the feature has more than 64 characters'),
                    (j.refused = 'invalid', 'refused', 'geometry', 'invalid',
                     'a valid, non-empty GeoJSON geometry in longitude and latitude is wanted'),
                    (j.refused = 'wrong_type', 'refused', 'geometry.type', 'wrong_type',
                     'pipes are lines; manholes, gullies and outfalls are points'),
                    (j.refused = 'outside_district', 'refused', 'geometry.coordinates', 'outside_district',
                     'the feature lies outside the district of the import'),
                    (j.refused = 'other_district', 'refused', 'properties.' || $23::text, 'other_district',
                     'another district has a facility of this source, kind and id; give the source another name'),
                    (j.refused = 'duplicate', 'refused', 'properties.' || $24::text, 'duplicate',
                     'an earlier row of this import has the same id'),
                    (j.refused IS NULL AND length(j.up_node) > 64, 'repaired', 'up_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND length(j.down_node) > 64, 'repaired', 'down_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND j.diameter_mm <= 0, 'repaired', 'diameter_mm', 'not_positive',
                     'a diameter of 0 or less means unknown'),
                    (j.refused IS NULL AND j.length_m <= 0, 'repaired', 'length_m', 'not_positive',
                     'a length of 0 or less means unknown; the length of the line is used'),
                    (j.refused IS NULL AND j.up_node IN ('-1', '0'), 'repaired', 'up_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.down_node IN ('-1', '0'), 'repaired', 'down_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.up_invert_m = 0, 'repaired', 'up_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed'),
                    (j.refused IS NULL AND j.down_invert_m = 0, 'repaired', 'down_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed')
            ) AS i (applies, severity, field, code, detail)
            WHERE i.applies
            ON CONFLICT DO NOTHING
        ), good AS (
            SELECT j.row_number, j.source_id, j.geometry, j.properties, j.material,
                   CASE WHEN j.diameter_mm > 0 THEN j.diameter_mm END AS diameter_mm,
                   CASE WHEN j.length_m > 0 THEN j.length_m
                        WHEN $25::text = 'pipe' THEN nullif(ST_Length(j.geometry::geography), 0)
                   END AS length_m,
                   CASE WHEN j.up_node NOT IN ('-1', '0') AND length(j.up_node) <= 64 THEN j.up_node END AS up_node,
                   CASE WHEN j.down_node NOT IN ('-1', '0') AND length(j.down_node) <= 64
                        THEN j.down_node END AS down_node,
                   nullif(j.up_invert_m, 0) AS up_invert_m,
                   nullif(j.down_invert_m, 0) AS down_invert_m,
                   CASE WHEN a.level = 'community' THEN a.area_id END AS community_id,
                   CASE WHEN a.level <> 'community' THEN a.area_id END AS grid_or_street_id
            FROM judged j
            LEFT JOIN LATERAL (
                -- The innermost, which the alphabet gives: community, grid, street.
                SELECT n.area_id, n.level
                FROM gis.area n
                WHERE n.level IN ('community', 'grid', 'street')
                  AND n.geometry && j.inside AND ST_Covers(n.geometry, j.inside)
                ORDER BY n.level, ST_Area(n.geometry), n.area_id
                LIMIT 1
            ) a ON true
            WHERE j.refused IS NULL
        ), written AS (
            INSERT INTO gis.facility AS f (
                kind, system, source, source_id, code, district_id, community_id, grid_or_street_id, geometry,
                diameter_mm, length_m, up_node, down_node, up_invert_m, down_invert_m, material, attributes)
            SELECT $26, $27, $28, g.source_id,
                   $29 || '/' || g.source_id, $30, g.community_id, g.grid_or_street_id,
                   g.geometry, g.diameter_mm, g.length_m, g.up_node, g.down_node, g.up_invert_m, g.down_invert_m,
                   g.material, g.properties
            FROM good g
            ON CONFLICT (source, kind, source_id) DO UPDATE
            SET system = excluded.system, community_id = excluded.community_id,
                grid_or_street_id = excluded.grid_or_street_id, geometry = excluded.geometry, diameter_mm = excluded.diameter_mm, length_m = excluded.length_m,
                up_node = excluded.up_node, down_node = excluded.down_node, up_invert_m = excluded.up_invert_m,
                down_invert_m = excluded.down_invert_m, material = excluded.material,
                attributes = excluded.attributes, retired_at = NULL,
                version = f.version + 1, changed_at = clock_timestamp()
            -- The net under 'other_district': the same id may have come in for two districts at the same moment.
            WHERE f.district_id = excluded.district_id
              AND ((f.system, f.community_id, f.grid_or_street_id, f.diameter_mm, f.length_m, f.up_node, f.down_node,
                    f.up_invert_m, f.down_invert_m, f.material, f.attributes, f.retired_at)
                   IS DISTINCT FROM
                   (excluded.system, excluded.community_id, excluded.grid_or_street_id, excluded.diameter_mm,
                    excluded.length_m, excluded.up_node, excluded.down_node, excluded.up_invert_m,
                    excluded.down_invert_m, excluded.material, excluded.attributes, NULL::timestamptz)
                   OR NOT f.geometry ~= excluded.geometry OR NOT ST_OrderingEquals(f.geometry, excluded.geometry))
            RETURNING f.facility_id, f.version, f.district_id, f.code
        )
        SELECT (SELECT count(*) FROM judged)::int AS read,
               (SELECT count(*) FROM judged WHERE refused IS NOT NULL)::int AS refused,
               (SELECT count(*) FROM written WHERE version = 1)::int AS added,
               (SELECT count(*) FROM written WHERE version > 1)::int AS changed,
               coalesce((SELECT jsonb_agg(jsonb_build_object('id', w.facility_id, 'version', w.version,
                                                             'code', w.code))
                         FROM written w), '[]') AS facilities
        ;
EXECUTE c('0000000b-0000-7000-8000-000000000003',0,500,'GISID','DIAMETER','LENGTH','UP','DOWN','UP_Z',NULL,NULL,'pipe','pipe','0000000d-0000-7000-8000-000000000001','survey','pipe','0000000d-0000-7000-8000-000000000001','0000000b-0000-7000-8000-000000000003','0000000b-0000-7000-8000-000000000003','0000000d-0000-7000-8000-000000000001','GISID','GISID','GISID','GISID','pipe','pipe','storm','survey','survey','0000000d-0000-7000-8000-000000000001');
DEALLOCATE c;
SELECT row_number,source_id,severity,field,code FROM gis.import_issue WHERE import_id='0000000b-0000-7000-8000-000000000003' ORDER BY 1,4;
SELECT source_id,district_id,up_node,diameter_mm,version FROM gis.facility WHERE source='survey';