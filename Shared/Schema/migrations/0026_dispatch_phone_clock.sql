-- dispatch: since when a phone's clock has not been moved. Two syncs that agree say nothing of what the phone noted before
-- the first of them, if its clock was set right just then.
SELECT set_config('sluice.districts', '*', true);

-- The default is for the running release, which does not name the column: a phone's first sync is now.
ALTER TABLE dispatch.phone_clock ADD COLUMN stable_since timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN dispatch.phone_clock.stable_since IS
    'By the server''s clock: the first sync, or the last one whose offset was more than 2 minutes away from that before';

-- What was known of a phone until now was its last sync.
UPDATE dispatch.phone_clock SET stable_since = synced_at;
