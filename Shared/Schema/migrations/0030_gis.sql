-- gis-sync: the register. Areas of responsibility, who answers for them, and the facilities inside.
-- Map facts are readable city-wide and writable by district.

CREATE SCHEMA gis;
SELECT sluice.create_messaging('gis');
SELECT sluice.create_idempotency('gis');

-- One table for all levels of the chain city → district → street → grid → community (paper §3.1), and for special
-- places (underpass, school, pedestrian street) that sharpen the emergency rule.
CREATE TABLE gis.area (
    area_id        uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    level          text NOT NULL CHECK (level IN ('district', 'street', 'grid', 'community', 'special')),
    code           text NOT NULL CHECK (code ~ '^[A-Za-z0-9_-]{1,64}$'),
    name_zh        text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 120),
    name_en        text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 120),
    parent_id      uuid REFERENCES gis.area,
    district_id    uuid NOT NULL,
    community_type text CHECK (community_type IN (
                       'residential', 'industrial', 'commercial', 'mixed', 'public_institution', 'urban_village')),
    tags           text[] NOT NULL DEFAULT '{}',
    geometry       geometry(MultiPolygon, 4326) NOT NULL CHECK (ST_IsValid(geometry)),
    version        integer NOT NULL DEFAULT 1,
    changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (level, code),
    CHECK ((level = 'district') = (parent_id IS NULL) OR area_id = sluice.city()),
    CHECK ((level = 'community') = (community_type IS NOT NULL)),
    CHECK (level <> 'district' OR district_id = area_id)
);
COMMENT ON TABLE gis.area IS 'District, street, grid, community and special places, each with its boundary (CRS84)';
CREATE INDEX area_geometry ON gis.area USING gist (geometry);
CREATE INDEX area_parent ON gis.area (parent_id);
CREATE INDEX area_district ON gis.area (district_id, level, area_id);
SELECT sluice.protect('gis.area', 'map');

-- A grid belongs to a set of communities under one responsible person: responsibility is stated for an area and holds
-- for everything inside that names nobody nearer.
CREATE TABLE gis.responsibility (
    responsibility_id uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    area_id           uuid NOT NULL REFERENCES gis.area,
    district_id       uuid NOT NULL,
    person_id         uuid NOT NULL,
    person_name       text NOT NULL CHECK (length(person_name) BETWEEN 1 AND 120),
    deputising_for    uuid,
    period            tstzrange NOT NULL CHECK (NOT isempty(period) AND lower(period) IS NOT NULL),
    recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Exactly one person answers for an area at any moment, also while someone is on leave.
    EXCLUDE USING gist (area_id WITH =, period WITH &&)
);
COMMENT ON TABLE gis.responsibility IS 'Who answers for an area, with start and end; deputising_for names the person on leave';
CREATE INDEX responsibility_district ON gis.responsibility (district_id);
SELECT sluice.protect('gis.responsibility', 'map');

CREATE TABLE gis.facility (
    facility_id  uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    kind         text NOT NULL CHECK (kind IN ('pipe', 'manhole', 'gully', 'outfall', 'tank', 'pump')),
    system       text CHECK (system IN ('storm', 'sewage', 'combined')),
    source       text NOT NULL CHECK (length(source) BETWEEN 1 AND 64),
    source_id    text NOT NULL CHECK (length(source_id) BETWEEN 1 AND 64),
    code         text NOT NULL CHECK (length(code) BETWEEN 1 AND 160),
    district_id  uuid NOT NULL,
    community_id uuid,
    geometry     geometry(Geometry, 4326) NOT NULL,
    diameter_mm  double precision CHECK (diameter_mm > 0),
    length_m     double precision CHECK (length_m > 0),
    up_node      text,
    down_node    text,
    up_invert_m  double precision,
    down_invert_m double precision,
    material     text,
    attributes   jsonb NOT NULL DEFAULT '{}',
    version      integer NOT NULL DEFAULT 1,
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at   timestamptz,
    UNIQUE (source, kind, source_id),
    CHECK ((kind = 'pipe') = (GeometryType(geometry) IN ('LINESTRING', 'MULTILINESTRING')))
);
COMMENT ON TABLE gis.facility IS 'Pipes, manholes, gullies, outfalls, tanks, pumps; unknown attributes are null, never 0 or -1';
CREATE INDEX facility_geometry ON gis.facility USING gist (geometry);
CREATE INDEX facility_place ON gis.facility USING gist ((geometry::geography));
CREATE INDEX facility_district ON gis.facility (district_id, kind, facility_id);
CREATE INDEX facility_community ON gis.facility (community_id) WHERE community_id IS NOT NULL;
SELECT sluice.protect('gis.facility', 'map');

-- Imports: rows land in staging as they came, are validated there by PostGIS, and leave with an answer each.
CREATE TABLE gis.import (
    import_id    uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    district_id  uuid NOT NULL,
    source       text NOT NULL,
    kind         text NOT NULL,
    system       text,
    profile      jsonb NOT NULL,
    state        text NOT NULL DEFAULT 'staging' CHECK (state IN ('staging', 'running', 'done', 'failed')),
    started_by   text NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,
    rows_staged  integer NOT NULL DEFAULT 0,
    -- The last row that is done: a run that was cut off goes on behind it.
    done_through integer NOT NULL DEFAULT 0,
    rows_read    integer NOT NULL DEFAULT 0,
    rows_added   integer NOT NULL DEFAULT 0,
    rows_changed integer NOT NULL DEFAULT 0,
    rows_same    integer NOT NULL DEFAULT 0,
    rows_refused integer NOT NULL DEFAULT 0,
    error        text
);
CREATE INDEX import_district ON gis.import (district_id, import_id);
CREATE INDEX import_open ON gis.import (import_id) WHERE state IN ('staging', 'running');
SELECT sluice.protect('gis.import', 'map');

CREATE TABLE gis.import_issue (
    import_id   uuid NOT NULL REFERENCES gis.import ON DELETE CASCADE,
    district_id uuid NOT NULL,
    row_number  integer NOT NULL,
    source_id   text,
    severity    text NOT NULL CHECK (severity IN ('refused', 'repaired')),
    field       text NOT NULL,
    code        text NOT NULL,
    detail      text NOT NULL,
    PRIMARY KEY (import_id, row_number, field, code)
);
SELECT sluice.protect('gis.import_issue', 'map');

-- COPY cannot pass row-level security, so staging has none. Unlogged: a crash of the database empties it, the run sees
-- that rows are missing and fails with a word on it; nothing that was written before is half done.
CREATE UNLOGGED TABLE gis.import_staging (
    import_id  uuid NOT NULL,
    row_number integer NOT NULL,
    feature    text NOT NULL,
    PRIMARY KEY (import_id, row_number)
);

-- The ids that an import has met already: of several rows with one id the first counts.
CREATE UNLOGGED TABLE gis.import_seen (
    import_id uuid NOT NULL,
    source_id text NOT NULL,
    PRIMARY KEY (import_id, source_id)
);

-- Readers that answer null instead of failing, so that one bad row does not take its neighbours along.
CREATE FUNCTION gis.read_json(feature text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN feature::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION gis.read_geometry(geojson jsonb) RETURNS geometry
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    read geometry;
BEGIN
    read := ST_SetSRID(ST_Force2D(ST_GeomFromGeoJSON(geojson)), 4326);
    IF ST_IsEmpty(read) OR NOT ST_IsValid(read)
       OR ST_XMin(read) < -180 OR ST_XMax(read) > 180 OR ST_YMin(read) < -90 OR ST_YMax(read) > 90 THEN
        RETURN NULL;
    END IF;
    RETURN read;
EXCEPTION WHEN OTHERS THEN
    -- PostGIS reports unreadable GeoJSON as internal_error, so no narrower class will do.
    RETURN NULL;
END
$$;

-- "200", " 52.43 " and 7.5 are numbers; "XXX", "" and null are unknown.
CREATE FUNCTION gis.read_number(raw text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN btrim(raw) ~ '^[+-]?[0-9]{1,12}([.][0-9]{1,15})?([eE][+-]?[0-9]{1,2})?$'
                THEN btrim(raw)::double precision END
$$;

-- What is here? The innermost area of each level that covers the point, who answers for it, and the nearest facility
-- within 50 m. One row, always; columns are null where nothing covers the point.
CREATE FUNCTION gis.what_is_here(lon double precision, lat double precision)
RETURNS TABLE (
    district_id uuid, district_name_zh text, district_name_en text,
    street_id uuid, street_name_zh text, street_name_en text,
    grid_id uuid, grid_code text,
    community_id uuid, community_name_zh text, community_name_en text, community_type text,
    tags text[], responsible_id uuid, responsible_name text, responsible_level text,
    facility_id uuid, facility_kind text, facility_code text, facility_distance_m double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    WITH point AS (
        SELECT ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geometry
    ), covering AS (
        SELECT a.*
        FROM gis.area a, point p
        WHERE a.geometry && p.geometry AND ST_Covers(a.geometry, p.geometry)
    ), level AS (
        -- Where areas of one level overlap on their border, the smallest is meant.
        SELECT DISTINCT ON (c.level) c.*
        FROM covering c
        ORDER BY c.level, ST_Area(c.geometry), c.area_id
    ), responsible AS (
        SELECT r.person_id, r.person_name, l.level
        FROM level l
        JOIN gis.responsibility r ON r.area_id = l.area_id AND r.period @> now()
        ORDER BY array_position(ARRAY['community', 'grid', 'street', 'district'], l.level) NULLS LAST
        LIMIT 1
    ), nearest AS (
        SELECT f.facility_id, f.kind, f.code, ST_Distance(f.geometry::geography, p.geometry::geography) AS distance
        FROM gis.facility f, point p
        WHERE f.retired_at IS NULL
          AND f.geometry && ST_Expand(p.geometry, 0.001)
          AND ST_DWithin(f.geometry::geography, p.geometry::geography, 50)
        ORDER BY f.kind = 'pipe', distance
        LIMIT 1
    )
    SELECT d.area_id, d.name_zh, d.name_en,
           s.area_id, s.name_zh, s.name_en,
           g.area_id, g.code,
           c.area_id, c.name_zh, c.name_en, c.community_type,
           coalesce((SELECT array_agg(DISTINCT tag ORDER BY tag) FROM covering x, unnest(x.tags) tag), '{}'),
           r.person_id, r.person_name, r.level,
           n.facility_id, n.kind, n.code, n.distance
    FROM (SELECT 1) AS one
    LEFT JOIN level d ON d.level = 'district'
    LEFT JOIN level s ON s.level = 'street'
    LEFT JOIN level g ON g.level = 'grid'
    LEFT JOIN level c ON c.level = 'community'
    LEFT JOIN responsible r ON true
    LEFT JOIN nearest n ON true
$$;

CREATE VIEW gis.api_place AS
SELECT a.area_id AS place_id, a.level, a.code, a.name_zh, a.name_en, a.parent_id, a.district_id, a.tags,
       a.community_type, a.version, ST_AsGeoJSON(a.geometry, 7) AS geometry_geojson,
       ST_XMin(a.geometry) AS min_lon, ST_YMin(a.geometry) AS min_lat,
       ST_XMax(a.geometry) AS max_lon, ST_YMax(a.geometry) AS max_lat, a.changed_at
FROM gis.area a;

-- The responsible person of each area at this moment: its own, or that of the nearest area above it.
CREATE VIEW gis.api_responsible AS
WITH RECURSIVE chain AS (
    SELECT a.area_id AS place_id, a.level, a.district_id, a.area_id AS at_id, a.parent_id, 0 AS depth
    FROM gis.area a
    WHERE a.level <> 'special'
    UNION ALL
    SELECT c.place_id, c.level, c.district_id, p.area_id, p.parent_id, c.depth + 1
    FROM chain c
    JOIN gis.area p ON p.area_id = c.parent_id
)
SELECT DISTINCT ON (c.place_id)
       c.place_id, c.level, c.district_id, r.person_id, r.person_name, c.at_id AS stated_for,
       lower(r.period) AS since, upper(r.period) AS until
FROM chain c
LEFT JOIN gis.responsibility r ON r.area_id = c.at_id AND r.period @> now()
ORDER BY c.place_id, r.person_id IS NULL, c.depth;

CREATE VIEW gis.api_facility AS
SELECT f.facility_id, f.kind, f.system, f.district_id, f.community_id, f.code,
       ST_X(ST_PointOnSurface(f.geometry)) AS lon, ST_Y(ST_PointOnSurface(f.geometry)) AS lat,
       f.diameter_mm, f.length_m, f.retired_at
FROM gis.facility f;

-- 管养缺位: facilities that nobody answers for at this moment are a defect that the system must show (paper §3.1).
CREATE VIEW gis.api_facility_without_responsible AS
SELECT f.facility_id, f.kind, f.code, f.district_id, f.community_id
FROM gis.facility f
LEFT JOIN gis.api_responsible r ON r.place_id = coalesce(f.community_id, f.district_id)
WHERE f.retired_at IS NULL AND r.person_id IS NULL;

-- Sentinels: a special place and a retired facility at the South Pole, where no city is.
SET LOCAL sluice.districts = '*';
INSERT INTO gis.area (area_id, level, code, name_zh, name_en, district_id, geometry)
VALUES (sluice.city(), 'special', 'sentinel', '哨兵', 'Sentinel', sluice.city(),
        ST_Multi(ST_MakeEnvelope(0, -90, 0.000001, -89.999999, 4326)));
INSERT INTO gis.facility (facility_id, kind, source, source_id, code, district_id, geometry, retired_at)
VALUES (sluice.city(), 'manhole', 'sluice', 'sentinel', 'sluice/sentinel', sluice.city(),
        ST_SetSRID(ST_MakePoint(0, -90), 4326), clock_timestamp());
INSERT INTO sluice.sentinel (view_name, key_column, key_value)
VALUES ('gis.api_place', 'place_id', sluice.city()::text),
       ('gis.api_facility', 'facility_id', sluice.city()::text);

SELECT sluice.grant_service('gis');
-- Only background work reads and writes staged rows.
REVOKE ALL ON gis.import_staging, gis.import_seen FROM sluice_gis_http;
