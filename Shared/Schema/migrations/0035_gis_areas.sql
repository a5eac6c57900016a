-- gis: a city of one's own. Readers for the import of areas and of responsibility (Tests/GISSync/AreaImportTests). Like
-- those of 0030 they answer instead of failing, so that one bad row does not take its neighbours along.

-- A boundary out of GeoJSON, as the register keeps it. `fault` is null if it came as it should, 'repaired' if its rings
-- crossed or doubled back and were put in order, else the reason why there is no shape: 'invalid' or 'wrong_type'.
CREATE FUNCTION gis.read_area(geojson jsonb, OUT shape geometry, OUT fault text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    shape := ST_SetSRID(ST_Force2D(ST_GeomFromGeoJSON(geojson)), 4326);
    IF shape IS NULL OR ST_IsEmpty(shape)
       OR ST_XMin(shape) < -180 OR ST_XMax(shape) > 180 OR ST_YMin(shape) < -90 OR ST_YMax(shape) > 90 THEN
        shape := NULL;
        fault := 'invalid';
        RETURN;
    END IF;
    IF GeometryType(shape) NOT IN ('POLYGON', 'MULTIPOLYGON') THEN
        shape := NULL;
        fault := 'wrong_type';
        RETURN;
    END IF;
    IF NOT ST_IsValid(shape) THEN
        shape := ST_CollectionExtract(ST_MakeValid(shape, 'method=structure'), 3);
        fault := 'repaired';
    END IF;
    shape := ST_Multi(shape);
    -- Nothing is left of a ring that only goes to and fro.
    IF ST_IsEmpty(shape) OR NOT ST_IsValid(shape) OR NOT ST_Area(shape) > 0 THEN
        shape := NULL;
        fault := 'invalid';
    END IF;
EXCEPTION WHEN OTHERS THEN
    -- PostGIS reports unreadable GeoJSON as internal_error, so no narrower class will do.
    shape := NULL;
    fault := 'invalid';
END
$$;

-- Tags from an array of texts, or from one text with commas, semicolons or blanks between them; sorted, each once.
CREATE FUNCTION gis.read_tags(raw jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT coalesce(array_agg(DISTINCT lower(btrim(t.tag)) ORDER BY lower(btrim(t.tag))), '{}')
    FROM jsonb_array_elements_text(
        CASE jsonb_typeof(raw)
            WHEN 'array' THEN raw
            WHEN 'string' THEN to_jsonb(regexp_split_to_array(raw #>> '{}', '[,;，；、[:space:]]+'))
            ELSE '[]'
        END) AS t (tag)
    WHERE btrim(t.tag) <> ''
$$;

CREATE FUNCTION gis.read_uuid(raw text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE WHEN raw ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN raw::uuid END
$$;

-- A moment by RFC 3339, or a day, which begins at midnight of the city.
CREATE FUNCTION gis.read_moment(raw text, time_zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN CASE
        WHEN raw ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN raw::date::timestamp AT TIME ZONE time_zone
        WHEN raw ~ ('^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?'
                    || '([Zz]|[+-][0-9]{2}:[0-9]{2})$') THEN raw::timestamptz
    END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- Writes one person's time for an area. Found again by area, person and beginning, so the same row again is 'same' and
-- one with another end is 'changed'; 'overlaps' if somebody else has a part of that time, and then nothing is written.
CREATE FUNCTION gis.write_responsibility(
    area uuid, district uuid, person uuid, name text, deputised uuid, since timestamptz, until timestamptz
) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    known gis.responsibility;
BEGIN
    SELECT r.* INTO known
    FROM gis.responsibility r
    WHERE r.area_id = area AND r.period @> since AND lower(r.period) = since;
    IF FOUND AND known.person_id = person THEN
        IF (known.person_name, known.deputising_for, upper(known.period)) IS NOT DISTINCT FROM (name, deputised, until)
        THEN
            RETURN 'same';
        END IF;
        UPDATE gis.responsibility r
        SET person_name = name, deputising_for = deputised, period = tstzrange(since, until)
        WHERE r.responsibility_id = known.responsibility_id;
        RETURN 'changed';
    END IF;
    INSERT INTO gis.responsibility (area_id, district_id, person_id, person_name, deputising_for, period)
    VALUES (area, district, person, name, deputised, tstzrange(since, until));
    RETURN 'added';
EXCEPTION WHEN exclusion_violation THEN
    RETURN 'overlaps';
END
$$;

-- For background work and sluicectl, which import; nobody over HTTP.
GRANT EXECUTE ON FUNCTION
    gis.read_area(jsonb), gis.read_tags(jsonb), gis.read_uuid(text), gis.read_moment(text, text),
    gis.write_responsibility(uuid, uuid, uuid, text, uuid, timestamptz, timestamptz)
TO sluice_gis_bg, sluice_control;
