-- Messaging tables, one set in each service's schema: CONTRACTS.md §4, and deploy/docs/messaging.md for the why.
-- A service's migration calls sluice.create_messaging first and sluice.grant_service last.

-- Makes the tables, views and functions in a schema that exists. Names below are unqualified and land in that schema,
-- since the function puts it first on its own search path.
CREATE FUNCTION sluice.create_messaging(schema name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $create_messaging$
DECLARE
    slot integer;
BEGIN
    -- pg_temp last, so that nobody's temporary table can stand in for one of ours in the functions made below.
    PERFORM set_config('search_path', format('%I, pg_catalog, sluice, pg_temp', schema), true);

    -- What happened --------------------------------------------------------------------------------------------------

    -- Every change of an aggregate, written in the transaction that made it. `id` is the event's id for good, also when
    -- it is sent again, pulled, caught up with or rebuilt from.
    CREATE TABLE history (
        id           uuid NOT NULL,
        aggregate    text NOT NULL CHECK (aggregate ~ '^[a-z_]{1,32}$'),
        aggregate_id uuid NOT NULL,
        version      bigint NOT NULL CHECK (version >= 0),
        type         text NOT NULL,
        district_id  uuid NOT NULL,
        lane         text NOT NULL CHECK (lane IN ('e', 'r')),
        canary       boolean NOT NULL DEFAULT false,
        actor        text NOT NULL,
        occurred_at  timestamptz NOT NULL,
        observed_at  timestamptz,
        received_at  timestamptz,
        recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        causation_id uuid,
        traceparent  text,
        -- Readers that catch up go by this: rows below pg_snapshot_xmin() can no longer be joined by older ones.
        tx           xid8 NOT NULL DEFAULT pg_current_xact_id(),
        body         jsonb NOT NULL,
        PRIMARY KEY (id)
    ) PARTITION BY RANGE (id);
    CREATE INDEX history_tx ON history (tx, id);
    CREATE INDEX history_aggregate ON history (aggregate_id, version);
    CREATE INDEX history_canary ON history (id) WHERE canary;
    COMMENT ON TABLE history IS 'Append-only record of every change; the row id is the event id';
    PERFORM sluice.ensure_month_partitions(format('%I.history', schema)::regclass);
    PERFORM sluice.protect('history'::regclass, 'facts');
    PERFORM sluice.make_append_only('history'::regclass);

    CREATE VIEW api_history AS
    SELECT id, aggregate, aggregate_id, version, type, district_id, lane, canary, actor, occurred_at, observed_at,
           received_at, recorded_at, causation_id, traceparent, tx, body
    FROM history;

    -- What is still to be sent ---------------------------------------------------------------------------------------

    -- Routine events that the broker has not confirmed; each is the id of a history row. Partitions ("slots") are used
    -- in turn and truncated when empty, so that a claim never walks over the dead rows of hours.
    --   attempt = 0                     never sent: claimed in the order of outbox_unsent
    --   attempt > 0, lease_until ahead  sent, or about to be, by the holder of `lease`
    --   attempt > 0, lease_until past   to be sent again, under the re-send limit
    -- A confirmed row is deleted by the lease it was sent under. `refused` counts what the broker itself refused.
    CREATE TABLE outbox (
        slot        smallint NOT NULL,
        id          uuid NOT NULL,
        district_id uuid NOT NULL,
        attempt     integer NOT NULL DEFAULT 0,
        refused     integer NOT NULL DEFAULT 0,
        lease       uuid,
        lease_until timestamptz,
        refusal     text,
        PRIMARY KEY (id, slot)
    ) PARTITION BY LIST (slot);
    CREATE INDEX outbox_unsent ON outbox (district_id, id) WHERE attempt = 0;
    CREATE INDEX outbox_leased ON outbox (lease_until) WHERE attempt > 0;
    COMMENT ON TABLE outbox IS 'Routine events not yet confirmed by the broker';
    PERFORM sluice.protect('outbox'::regclass, 'facts');
    FOR slot IN 0..7 LOOP
        EXECUTE format(
            'CREATE TABLE outbox_%1$s PARTITION OF outbox FOR VALUES IN (%1$s)
             WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                   autovacuum_analyze_scale_factor = 0.5, autovacuum_analyze_threshold = 10000,
                   autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1)', slot);
        EXECUTE format('ALTER TABLE outbox_%s ENABLE ROW LEVEL SECURITY', slot);
    END LOOP;

    -- Which slot new rows go to. A row that read an older turn lands in an older slot, where it is found as well.
    CREATE TABLE outbox_turn (
        one   boolean PRIMARY KEY DEFAULT true CHECK (one),
        slot  smallint NOT NULL,
        since timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    INSERT INTO outbox_turn (slot) VALUES (0);
    COMMENT ON TABLE outbox_turn IS 'The partition of the outbox that new rows go to';

    -- Truncates one emptied slot and moves the turn on when the present slot is worn (16 MiB, or a minute old and not
    -- empty) and another is empty. Answers the present slot. Each instance calls it each second; one at a time works.
    CREATE FUNCTION rotate_outbox() RETURNS smallint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '20ms' AS $rotate_outbox$
    DECLARE
        turn outbox_turn;
        next_slot integer;
        part regclass;
        occupied boolean;
    BEGIN
        IF NOT pg_try_advisory_xact_lock(hashtextextended('rotate', 'outbox'::regclass::oid::bigint)) THEN
            RETURN (SELECT t.slot FROM outbox_turn t);
        END IF;
        SELECT * INTO turn FROM outbox_turn;

        FOR slot IN 0..7 LOOP
            part := ('outbox_' || slot)::regclass;
            CONTINUE WHEN slot = turn.slot OR pg_relation_size(part) = 0;
            EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part) INTO occupied;
            CONTINUE WHEN occupied;
            BEGIN
                -- Waits at most lock_timeout for a transaction that has just written here, then looks again: only
                -- under the lock is "empty" final.
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', part);
                EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part) INTO occupied;
                IF NOT occupied THEN
                    EXECUTE format('TRUNCATE %s', part);
                    EXIT;  -- one a call: claims wait while it lasts
                END IF;
            EXCEPTION WHEN lock_not_available THEN
                NULL;  -- next second
            END;
        END LOOP;

        part := ('outbox_' || turn.slot)::regclass;
        IF pg_relation_size(part) > 16 * 1024 * 1024
            OR (pg_relation_size(part) > 0 AND turn.since < clock_timestamp() - interval '1 minute')
        THEN
            SELECT s INTO next_slot
            FROM generate_series(0, 7) s
            WHERE s <> turn.slot AND pg_relation_size(('outbox_' || s)::regclass) = 0
            ORDER BY (s - turn.slot + 8) % 8
            LIMIT 1;
            IF FOUND THEN
                UPDATE outbox_turn SET slot = next_slot, since = clock_timestamp();
                RETURN next_slot;
            END IF;
        END IF;
        RETURN turn.slot;
    END
    $rotate_outbox$;

    -- The lane's own small table. A row stays until the broker has confirmed it and the inbox of every consumer that
    -- is named for its type shows it. Bodies are whole, so a consumer that takes a row itself needs this table only.
    CREATE TABLE emergency_outbox (
        id           uuid PRIMARY KEY,
        district_id  uuid NOT NULL,
        type         text NOT NULL,
        canary       boolean NOT NULL DEFAULT false,
        consumers    text[] NOT NULL,
        created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        body         text NOT NULL,
        attempt      integer NOT NULL DEFAULT 0,
        refused      integer NOT NULL DEFAULT 0,
        lease        uuid,
        lease_until  timestamptz,
        refusal      text,
        confirmed_at timestamptz,
        consumed_at  timestamptz
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0,
            autovacuum_vacuum_insert_threshold = -1);
    CREATE INDEX emergency_outbox_unsent ON emergency_outbox (id) WHERE attempt = 0;
    CREATE INDEX emergency_outbox_leased ON emergency_outbox (lease_until) WHERE attempt > 0 AND confirmed_at IS NULL;
    CREATE INDEX emergency_outbox_lacking ON emergency_outbox (id) WHERE consumed_at IS NULL;
    CREATE INDEX emergency_outbox_done ON emergency_outbox (id)
        WHERE consumed_at IS NOT NULL AND confirmed_at IS NOT NULL;
    COMMENT ON TABLE emergency_outbox IS 'Emergencies on their way: the second path beside the broker';
    PERFORM sluice.protect('emergency_outbox'::regclass, 'facts');

    CREATE VIEW api_emergency_outbox AS
    SELECT id AS event_id, type, 'e'::text AS lane, consumers, created_at, body, district_id, canary
    FROM emergency_outbox
    WHERE consumed_at IS NULL;

    -- What has been done ---------------------------------------------------------------------------------------------

    -- One row a message and consumer, written in the transaction of its effects. The key's name is what an error names.
    CREATE TABLE inbox (
        consumer    text NOT NULL,
        source      text NOT NULL,
        event_id    uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT inbox_key PRIMARY KEY (event_id, consumer, source)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
    CREATE INDEX inbox_received ON inbox USING brin (received_at);
    COMMENT ON TABLE inbox IS 'Which messages each consumer has finished; kept for 90 days';

    -- Messages that failed for no fault of their own and will be tried again.
    CREATE TABLE retry (
        consumer   text NOT NULL,
        source     text NOT NULL,
        event_id   uuid NOT NULL,
        type       text,
        body       bytea NOT NULL,
        attempt    integer NOT NULL DEFAULT 0,
        next_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
        failure    text NOT NULL,
        parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT retry_key PRIMARY KEY (event_id, consumer, source)
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX retry_due ON retry (consumer, next_at);
    COMMENT ON TABLE retry IS 'Parked messages, each tried again on its own';

    -- Messages that the handler found to be nonsense. `version` is that of the software that judged them.
    CREATE TABLE dead_letter (
        id           uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
        consumer     text NOT NULL,
        source       text NOT NULL,
        event_id     uuid NOT NULL,
        type         text,
        district_id  uuid,
        body         bytea NOT NULL,
        reason       text NOT NULL,
        version      text NOT NULL,
        dead_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
        discarded_at timestamptz,
        discarded_by text,
        CONSTRAINT dead_letter_key UNIQUE (event_id, consumer, source)
    );
    COMMENT ON TABLE dead_letter IS 'Poison with its reason; retried or discarded by a person';
    PERFORM sluice.protect('dead_letter'::regclass, 'facts');

    -- What a consumer has, in whatever state: a producer announces again only what is not here.
    CREATE VIEW api_inbox AS
    SELECT consumer, source, event_id FROM inbox
    UNION ALL
    SELECT consumer, source, event_id FROM retry
    UNION ALL
    SELECT consumer, source, event_id FROM dead_letter;

    -- Emergencies that failed and are older than a second: both paths look here before they try again.
    CREATE TABLE lane_attempt (
        consumer   text NOT NULL,
        source     text NOT NULL,
        event_id   uuid NOT NULL,
        n          integer NOT NULL,
        not_before timestamptz NOT NULL,
        failure    text NOT NULL,
        PRIMARY KEY (event_id, consumer, source)
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
    COMMENT ON TABLE lane_attempt IS 'Failed tries of emergencies';

    -- Who does what only one instance does at a time.
    CREATE TABLE task_lease (
        task   text PRIMARY KEY,
        holder uuid NOT NULL,
        until  timestamptz NOT NULL
    );
    COMMENT ON TABLE task_lease IS 'Tasks that one instance does at a time, each until its lease ends';
    -- Deletes the canary's events made before that time, for a service's own purge_canaries. Consumers purge their inbox
    -- by this table, so it keeps them some minutes longer than they keep what came of them.
    CREATE FUNCTION purge_canary_events(before timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $purge_canary_events$
    DECLARE
        -- Given back before it returns; an error ends the transaction and the setting with it.
        scope CONSTANT text := coalesce(current_setting('sluice.districts', true), '');
        gone bigint;
    BEGIN
        PERFORM set_config('sluice.districts', sluice.canary()::text, true);
        DELETE FROM history WHERE canary AND id < sluice.uuid_v7_floor(before - interval '3 minutes');
        GET DIAGNOSTICS gone = ROW_COUNT;
        PERFORM set_config('sluice.districts', scope, true);
        RETURN gone;
    END
    $purge_canary_events$;
END
$create_messaging$;
COMMENT ON FUNCTION sluice.create_messaging(name) IS 'Makes the messaging tables of CONTRACTS.md §4 in a schema';
