-- What all schemas share: ids, the district scope, grants, partitions, sentinels.

GRANT USAGE ON SCHEMA sluice TO sluice_service;

-- A function is for those whom it was granted to; PostgreSQL's default would be everybody.
ALTER DEFAULT PRIVILEGES FOR ROLE sluice_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Ids -----------------------------------------------------------------------------------------------------------------

-- A version 7 UUID (RFC 9562): 48 bits of milliseconds, then a version 4's random bits with the version changed.
CREATE FUNCTION sluice.uuid_v7(at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN encode(
    set_bit(
        set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
            52, 1),
        53, 1),
    'hex')::uuid;

-- The time in a version 7 UUID, to the millisecond; NULL for any other version.
CREATE FUNCTION sluice.uuid_v7_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
    WHEN substr(id::text, 15, 1) = '7' THEN
        to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)
END;

-- Every id made at or after that time is at or above it: the bound of a partition or of a range of ids.
CREATE FUNCTION sluice.uuid_v7_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rpad(lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- The district of what concerns the whole city. Every scope may read its rows.
CREATE FUNCTION sluice.city() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-7000-8000-000000000000'::uuid;

-- The district of the canary: rounds that run the emergency lane to measure it, in rows of their own
-- (deploy/docs/guarantees.md). Background work alone sees them; no scope of a request holds them, `*` included.
CREATE FUNCTION sluice.canary() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-7000-8000-0000000000ca'::uuid;

-- District scope ------------------------------------------------------------------------------------------------------

-- `sluice.districts` holds the ids that the present transaction may see, with commas between them, or `*`.
-- Not set means none. For functions that check by themselves; policies have the expression in line, since a function
-- with a sub-select is not inlined and would run once a row.
CREATE FUNCTION sluice.in_scope(district uuid) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_has_role(current_user, 'sluice_background', 'member')
    OR (current_setting('sluice.districts', true) = '*' AND district <> sluice.canary())
    OR district = ANY (string_to_array(
        nullif(nullif(current_setting('sluice.districts', true), ''), '*'), ',')::uuid[]);

-- Puts a table under the district scope. Modes:
--   facts  people's facts: read and written within the scope; rows of the city may be read by every scope
--   map    read by everybody, written within the scope
-- A table that has responsible_district_id is open to that district too. Whoever owns the table is held to the
-- policies as well (FORCE): every api_* view reads as the owner, and without FORCE would show all districts. Policies
-- name no role: inside such a view current_user is still the reader, so the reader's own membership and setting count.
CREATE FUNCTION sluice.protect(relation regclass, mode text DEFAULT 'facts') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
DECLARE
    -- Each in a SELECT of its own, so that it is evaluated once a statement and not once a row.
    everything CONSTANT text := $$(SELECT pg_has_role(current_user, 'sluice_background', 'member'))
        OR ((SELECT coalesce(current_setting('sluice.districts', true) = '*', false))
            AND district_id <> sluice.canary())$$;
    districts CONSTANT text := $$((SELECT string_to_array(
        nullif(nullif(current_setting('sluice.districts', true), ''), '*'), ',')::uuid[])::uuid[])$$;
    own text := format('%s OR district_id = ANY (%s)', everything, districts);
    readable text;
    policy text;
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = relation AND attname = 'responsible_district_id' AND NOT attisdropped
    ) THEN
        own := own || format(' OR responsible_district_id = ANY (%s)', districts);
    END IF;
    readable := CASE mode
        WHEN 'facts' THEN own || ' OR district_id = sluice.city()'
        WHEN 'map' THEN 'true'
    END;
    IF readable IS NULL THEN
        RAISE EXCEPTION 'sluice.protect: % is neither facts nor map', mode;
    END IF;

    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    FOR policy IN SELECT polname FROM pg_policy WHERE polrelid = relation AND polname LIKE 'scope\_%' LOOP
        EXECUTE format('DROP POLICY %I ON %s', policy, relation);
    END LOOP;
    EXECUTE format('CREATE POLICY scope_read ON %s FOR SELECT USING (%s)', relation, readable);
    EXECUTE format('CREATE POLICY scope_insert ON %s FOR INSERT WITH CHECK (%s)', relation, own);
    EXECUTE format('CREATE POLICY scope_update ON %s FOR UPDATE USING (%s) WITH CHECK (%s)', relation, own, own);
    EXECUTE format('CREATE POLICY scope_delete ON %s FOR DELETE USING (%s)', relation, own);
END
$function$;

-- Grants --------------------------------------------------------------------------------------------------------------

-- Tables whose rows are written once. grant_service gives nobody the right to change them.
CREATE TABLE sluice.append_only (
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    PRIMARY KEY (schema_name, table_name)
);
COMMENT ON TABLE sluice.append_only IS 'Tables whose rows are never changed or deleted by a service';

-- Says so; before grant_service is called for the schema.
CREATE FUNCTION sluice.make_append_only(relation regclass) RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $function$
    INSERT INTO sluice.append_only (schema_name, table_name)
    SELECT n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation
    ON CONFLICT DO NOTHING
$function$;

-- Gives the schema's own service (both login roles) and sluicectl the schema's tables, views, sequences and functions,
-- and every other service its views and functions named api_*. Never a partition: a partition read by itself is not
-- under its parent's policies. The last statement of a service's migration; may be repeated.
CREATE FUNCTION sluice.grant_service(schema name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
DECLARE
    own CONSTANT text := format('%I, %I, sluice_control', 'sluice_' || schema || '_http', 'sluice_' || schema || '_bg');
    item record;
    rights text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO sluice_service', schema);

    FOR item IN
        SELECT c.oid::regclass AS relation, c.relname, c.relkind, a.table_name IS NOT NULL AS append_only,
               c.relkind = 'r' AND c.relpersistence = 'u' AS scratch
        FROM pg_class c
        LEFT JOIN sluice.append_only a ON a.schema_name = schema AND a.table_name = c.relname
        WHERE c.relnamespace = schema::text::regnamespace
          AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
          AND NOT c.relispartition
    LOOP
        rights := CASE
            WHEN item.relkind IN ('v', 'm') THEN 'SELECT'
            WHEN item.relkind = 'S' THEN 'USAGE'
            WHEN item.append_only THEN 'SELECT, INSERT'
            ELSE 'SELECT, INSERT, UPDATE, DELETE'
        END;
        IF item.relkind <> 'S' THEN
            EXECUTE format('REVOKE ALL ON %s FROM %s', item.relation, own);
        END IF;
        EXECUTE format('GRANT %s ON %s %s TO %s', rights,
            CASE WHEN item.relkind = 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, item.relation, own);
        IF item.scratch THEN
            -- What a crash may empty, background work may empty too.
            EXECUTE format('GRANT TRUNCATE ON TABLE %s TO %I, sluice_control', item.relation,
                'sluice_' || schema || '_bg');
        END IF;
        IF item.relkind IN ('v', 'm') AND item.relname LIKE 'api\_%' THEN
            EXECUTE format('GRANT SELECT ON TABLE %s TO sluice_service', item.relation);
        END IF;
    END LOOP;

    -- A view's functions run with the rights of whoever reads the view, so those of an api_* view are for everybody too.
    FOR item IN
        SELECT p.oid::regprocedure AS signature,
               p.proname LIKE 'api\_%' OR EXISTS (
                   SELECT FROM pg_depend d
                   JOIN pg_rewrite r ON r.oid = d.objid
                   JOIN pg_class v ON v.oid = r.ev_class
                   WHERE d.classid = 'pg_rewrite'::regclass
                     AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
                     AND v.relname LIKE 'api\_%') AS shared
        FROM pg_proc p
        WHERE p.pronamespace = schema::text::regnamespace AND p.prorettype <> 'trigger'::regtype
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', item.signature,
            CASE WHEN item.shared THEN 'sluice_service' ELSE own END);
    END LOOP;
END
$function$;

-- Partitions ----------------------------------------------------------------------------------------------------------

-- Makes the monthly partitions of a table that is partitioned by range of its UUIDv7 key: last month's (a client-made id
-- may be 30 days old), this month's and `months_ahead` more, and a DEFAULT one for ids outside. May be repeated; each
-- service's background role calls it daily. Answers how many months ahead of the present one are ready.
-- SECURITY DEFINER: a partition must belong to the owner of its table.
CREATE FUNCTION sluice.ensure_month_partitions(relation regclass, months_ahead integer DEFAULT 6) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $function$
DECLARE
    schema_name name;
    table_name name;
    this_month CONSTANT timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    month timestamp;
    part name;
    ready integer := 0;
BEGIN
    SELECT n.nspname, c.relname INTO STRICT schema_name, table_name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation AND c.relkind = 'p';

    -- Two callers at once would both find a partition missing.
    PERFORM pg_advisory_xact_lock(hashtextextended('sluice.ensure_month_partitions ' || relation::oid, 0));

    part := table_name || '_default';
    IF to_regclass(format('%I.%I', schema_name, part)) IS NULL THEN
        EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s DEFAULT', schema_name, part, relation);
        EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', schema_name, part);
    END IF;
    FOR month IN
        SELECT generate_series(
            this_month - interval '1 month', this_month + make_interval(months => months_ahead), interval '1 month')
    LOOP
        part := table_name || to_char(month, '"_y"YYYY"m"MM');
        IF to_regclass(format('%I.%I', schema_name, part)) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                    schema_name, part, relation,
                    sluice.uuid_v7_floor(month AT TIME ZONE 'UTC'),
                    sluice.uuid_v7_floor((month + interval '1 month') AT TIME ZONE 'UTC'));
                EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', schema_name, part);
            EXCEPTION WHEN check_violation THEN
                -- Rows of that month are in the DEFAULT partition already. They are found there; nothing stops.
                RAISE WARNING 'sluice: % keeps its rows in the default partition', part;
            END;
        END IF;
        IF month > this_month AND to_regclass(format('%I.%I', schema_name, part)) IS NOT NULL THEN
            ready := ready + 1;
        END IF;
    END LOOP;
    RETURN ready;
END
$function$;

-- Sentinels -----------------------------------------------------------------------------------------------------------

-- A lost grant or a wrong policy shows as an empty view, which looks like a quiet day. So each view that others read has
-- one permanent row of the city (sluice.city()) that every scope can see; a service's migration inserts it and names it
-- here, and each service looks for the rows of its views when it starts.
CREATE TABLE sluice.sentinel (
    view_name  text PRIMARY KEY,
    key_column text NOT NULL,
    key_value  text NOT NULL
);
COMMENT ON TABLE sluice.sentinel IS 'The permanent row that each api_* view must show to every reader';

-- Which of these views do not show their sentinel to the caller (or have none).
CREATE FUNCTION sluice.missing_sentinels(views text[]) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $function$
DECLARE
    wanted text;
    sentinel sluice.sentinel;
    found_it boolean;
BEGIN
    FOREACH wanted IN ARRAY views LOOP
        SELECT * INTO sentinel FROM sluice.sentinel s WHERE s.view_name = wanted;
        found_it := FOUND;
        IF found_it THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I::text = $1)', wanted::regclass, sentinel.key_column)
            INTO found_it USING sentinel.key_value;
        END IF;
        IF NOT found_it THEN
            RETURN NEXT wanted;
        END IF;
    END LOOP;
END
$function$;

-- Rights to the above -------------------------------------------------------------------------------------------------

GRANT EXECUTE ON FUNCTION
    sluice.uuid_v7(timestamptz), sluice.uuid_v7_time(uuid), sluice.uuid_v7_floor(timestamptz), sluice.city(),
    sluice.canary(), sluice.in_scope(uuid), sluice.missing_sentinels(text[])
TO sluice_service;
GRANT EXECUTE ON FUNCTION sluice.ensure_month_partitions(regclass, integer) TO sluice_background;
GRANT SELECT ON sluice.migration, sluice.sentinel TO sluice_service;
