-- dispatch: the start and the end of a shift are observations like the steps of an order. Each keeps the time that the
-- phone noted and that of its reception; started_at and ended_at are the times that count.
SELECT set_config('sluice.districts', '*', true);

ALTER TABLE dispatch.shift
    -- The end may come before the start.
    ALTER COLUMN started_at DROP NOT NULL,
    ADD CONSTRAINT shift_tells_something CHECK (started_at IS NOT NULL OR ended_at IS NOT NULL),
    ADD COLUMN start_observed_at timestamptz,
    ADD COLUMN start_received_at timestamptz,
    ADD COLUMN start_counted text CHECK (start_counted IN ('observed', 'received')),
    ADD COLUMN start_counted_reason text,
    ADD COLUMN start_outcome text CHECK (start_outcome IN ('applied', 'late')),
    ADD COLUMN start_lon double precision,
    ADD COLUMN start_lat double precision,
    ADD COLUMN end_observed_at timestamptz,
    ADD COLUMN end_received_at timestamptz,
    ADD COLUMN end_counted text CHECK (end_counted IN ('observed', 'received')),
    ADD COLUMN end_counted_reason text,
    ADD COLUMN end_outcome text CHECK (end_outcome IN ('applied', 'late'));
COMMENT ON COLUMN dispatch.shift.started_at IS 'NULL until the start has come';
COMMENT ON COLUMN dispatch.shift.ended_at IS
    'While end_received_at is NULL: when a later shift of the crew began, since this one was over by then';

-- Until now the server's clock told both.
UPDATE dispatch.shift
SET start_received_at = started_at, start_counted = 'received', start_counted_reason = 'no_observed_time',
    start_outcome = 'applied';
UPDATE dispatch.shift
SET end_received_at = ended_at, end_counted = 'received', end_counted_reason = 'no_observed_time',
    end_outcome = 'applied'
WHERE ended_at IS NOT NULL;

-- Which shift of the crew began next: asked for with each start.
CREATE INDEX shift_crew ON dispatch.shift (crew_id, started_at);
