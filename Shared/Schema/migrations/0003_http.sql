-- What every service's HTTP side keeps: the answers to requests that may be sent again.

-- Makes <schema>.idempotency: one row for each POST that did something, under the SHA-256 of (sender, method, path,
-- Idempotency-Key). The answer is sealed under a key made of the sender's own header, which is not kept, so the table
-- shows nobody's tracking code or token. City-wide: it has no district, and is found by hash only.
CREATE FUNCTION sluice.create_idempotency(schema name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
BEGIN
    EXECUTE format($sql$
        CREATE TABLE %1$I.idempotency (
            key_hash    bytea NOT NULL CONSTRAINT idempotency_pkey PRIMARY KEY CHECK (length(key_hash) = 32),
            -- SHA-256 of the body: the same key with another body is a mistake of the sender's.
            fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
            -- Null only between the two trips of a decision.
            status      smallint CHECK (status BETWEEN 200 AND 499),
            answer      bytea,
            created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
            CHECK ((status IS NULL) = (answer IS NULL))
        )
        -- Rows arrive in the order of created_at and the oldest are deleted.
        WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)
    $sql$, schema);
    EXECUTE format('COMMENT ON TABLE %I.idempotency IS %L', schema,
        'Answers to requests with an Idempotency-Key, kept 7 days');
    -- For the purge alone. BRIN: a few pages, and next to nothing on each insert.
    EXECUTE format(
        'CREATE INDEX idempotency_age ON %I.idempotency USING brin (created_at) WITH (autosummarize = on)', schema);

    -- Forgets at most 5,000 keys that are older than 7 days; answers how many. The background role calls it hourly, again
    -- and again while there are some.
    EXECUTE format($sql$
        CREATE FUNCTION %1$I.idempotency_purge() RETURNS integer
        LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
        DECLARE
            purged integer;
        BEGIN
            DELETE FROM %1$I.idempotency
            WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM %1$I.idempotency
                WHERE created_at < clock_timestamp() - interval '7 days'
                LIMIT 5000));
            GET DIAGNOSTICS purged = ROW_COUNT;
            RETURN purged;
        END
        $body$
    $sql$, schema);
END
$function$;
