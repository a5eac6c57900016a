-- What only a superuser may do, once a database (again after an upgrade: every statement may be repeated).
-- `sluicectl migrate --bootstrap` runs it inside the database; passwords are set apart from it.

-- Roles ---------------------------------------------------------------------------------------------------------------

DO $$
DECLARE
    service text;
    login text;
BEGIN
    -- Owns every table and view. Nobody signs in as the owner.
    IF to_regrole('sluice_owner') IS NULL THEN
        CREATE ROLE sluice_owner NOLOGIN;
    END IF;
    -- Its members see every district: work that nobody waits for, and sluicectl. Never an HTTP role.
    IF to_regrole('sluice_background') IS NULL THEN
        CREATE ROLE sluice_background NOLOGIN;
    END IF;
    -- Its members are all that sign in: what every part may use is granted to it once.
    IF to_regrole('sluice_service') IS NULL THEN
        CREATE ROLE sluice_service NOLOGIN;
    END IF;

    FOREACH service IN ARRAY ARRAY['intake', 'dispatch', 'gis', 'scoring', 'notification'] LOOP
        FOREACH login IN ARRAY ARRAY['sluice_' || service || '_http', 'sluice_' || service || '_bg'] LOOP
            IF to_regrole(login) IS NULL THEN
                EXECUTE format('CREATE ROLE %I LOGIN', login);
            END IF;
            EXECUTE format('GRANT sluice_service TO %I', login);
            -- Nobody waits two seconds inside a transaction; a statement of a request that lasts five is a fault.
            EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''1s''', login);
            EXECUTE format('ALTER ROLE %I SET deadlock_timeout = ''50ms''', login);
            EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', login,
                           CASE WHEN login LIKE '%\_http' THEN '5s' ELSE '30s' END);
        END LOOP;
        EXECUTE format('GRANT sluice_background TO %I', 'sluice_' || service || '_bg');
    END LOOP;

    IF to_regrole('sluice_control') IS NULL THEN
        CREATE ROLE sluice_control LOGIN;
    END IF;
    GRANT sluice_service, sluice_background TO sluice_control;
    -- An operator's work may be long, but no snapshot on the primary lives longer than five minutes.
    ALTER ROLE sluice_control SET statement_timeout = '5min';
    ALTER ROLE sluice_control SET idle_in_transaction_session_timeout = '30s';
    ALTER ROLE sluice_control SET deadlock_timeout = '50ms';

    -- Changes the schema as the owner, and moves data between districts' rows as itself.
    IF to_regrole('sluice_migrate') IS NULL THEN
        CREATE ROLE sluice_migrate LOGIN;
    END IF;
    ALTER ROLE sluice_migrate BYPASSRLS;
    GRANT sluice_owner, sluice_service TO sluice_migrate;
    ALTER ROLE sluice_migrate SET lock_timeout = '10s';
    ALTER ROLE sluice_migrate SET statement_timeout = 0;

    -- Compiling a statement of some milliseconds takes longer than running it.
    FOR login IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'sluice\_%' AND rolcanlogin LOOP
        EXECUTE format('ALTER ROLE %I SET jit = off', login);
        EXECUTE format('ALTER ROLE %I SET timezone = ''UTC''', login);
    END LOOP;
END
$$;

-- Database ------------------------------------------------------------------------------------------------------------

CREATE EXTENSION IF NOT EXISTS postgis;
CREATE EXTENSION IF NOT EXISTS btree_gist;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO sluice_service', current_database());
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO sluice_owner', current_database());
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO PUBLIC;

-- Row-level security keeps a function that is not LEAKPROOF from using an index before the policy has been applied
-- (0.27 → 93 ms on 300,000 points). What is marked here compares bounding boxes and tells nobody anything in an error.
DO $$
DECLARE
    box regprocedure;
BEGIN
    FOR box IN
        SELECT DISTINCT o.oprcode::regprocedure
        FROM pg_operator o
        JOIN pg_depend d ON d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e'
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'postgis'
        WHERE o.oprname IN ('&&', '@', '~')
          AND o.oprresult = 'boolean'::regtype
          AND o.oprleft::regtype::text IN ('geometry', 'geography', 'box2df', 'gidx')
          AND o.oprright::regtype::text IN ('geometry', 'geography', 'box2df', 'gidx')
    LOOP
        EXECUTE format('ALTER FUNCTION %s LEAKPROOF', box);
    END LOOP;
END
$$;
