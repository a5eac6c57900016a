-- What changes in the schemas of all services: looks at messaging tables that walked over all of them.

DO $$
DECLARE
    schema name;
BEGIN
    FOREACH schema IN ARRAY ARRAY ['intake', 'dispatch', 'gis', 'scoring', 'notification']::name[] LOOP
        -- Listed and counted: those that nobody has set aside.
        EXECUTE format('CREATE INDEX dead_letter_open ON %I.dead_letter (id) WHERE discarded_at IS NULL', schema);

        -- By the statement's own time: no index can be searched by clock_timestamp(), which moves meanwhile.
        EXECUTE format($sql$
            CREATE OR REPLACE FUNCTION %1$I.idempotency_purge() RETURNS integer
            LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
            DECLARE
                purged integer;
            BEGIN
                DELETE FROM %1$I.idempotency
                WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM %1$I.idempotency
                    WHERE created_at < statement_timestamp() - interval '7 days'
                    LIMIT 5000));
                GET DIAGNOSTICS purged = ROW_COUNT;
                RETURN purged;
            END
            $body$
        $sql$, schema);
    END LOOP;
END
$$;
