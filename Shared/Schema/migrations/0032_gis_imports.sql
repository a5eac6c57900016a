-- gis: what kept an import from ever ending (Tests/GISSync/ImportTests).
SELECT set_config('sluice.districts', '*', true);

-- A line whose ends lie opposite each other on the globe is a valid geometry, and no geography: the index on
-- geography refuses it, and with it the whole chunk. Overlapping its own box makes PostGIS work that box out.
CREATE OR REPLACE FUNCTION gis.read_geometry(geojson jsonb) RETURNS geometry
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
    IF NOT read::geography && read::geography THEN
        RETURN NULL;
    END IF;
    RETURN read;
EXCEPTION WHEN OTHERS THEN
    -- PostGIS reports unreadable GeoJSON as internal_error, so no narrower class will do.
    RETURN NULL;
END
$$;

-- A source that no facility may have: such a run cannot write a single row. Those that wait are over; those that are
-- over stay for the record.
DELETE FROM gis.import_staging s
USING gis.import i
WHERE i.import_id = s.import_id AND i.state IN ('staging', 'running') AND length(i.source) NOT BETWEEN 1 AND 64;
UPDATE gis.import
SET state = 'failed', ended_at = clock_timestamp(), error = 'a source has 1 to 64 characters; send the file again'
WHERE state IN ('staging', 'running') AND length(source) NOT BETWEEN 1 AND 64;
ALTER TABLE gis.import ADD CONSTRAINT import_source CHECK (length(source) BETWEEN 1 AND 64) NOT VALID;
