-- What changes in the schemas of all services: two purges of the messaging tables that would read a whole table.

DO $$
DECLARE
    schema name;
BEGIN
    FOR schema IN
        SELECT n.nspname
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = 'emergency_outbox' AND c.relkind = 'r'
        ORDER BY n.nspname
    LOOP
        -- A canary's row goes after 10 s, and that is looked for four times a second: also while a broker that is away
        -- leaves the rows of hours here.
        EXECUTE format(
            'CREATE INDEX emergency_outbox_canaries ON %I.emergency_outbox (created_at) WHERE canary', schema);

        -- A block range's bounds only widen. Once rows are deleted and their pages used again nearly every range begins
        -- 90 days ago, and the search for old rows reads them all. The purge goes along inbox_key, which begins with
        -- the event's id and so with its time.
        EXECUTE format('DROP INDEX %I.inbox_received', schema);
    END LOOP;
END
$$;
