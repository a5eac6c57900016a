-- Photos of the work: what came, when it was seen, and whose it is. The table was there before and empty: nothing could
-- write it, so its columns need no defaults.
ALTER TABLE dispatch.order_attachment
    -- The id is the phone's, so it is unique among its crew's only: nobody's choice of an id meets another's.
    DROP CONSTRAINT order_attachment_pkey,
    ADD PRIMARY KEY (crew_id, attachment_id),
    ADD COLUMN kind text NOT NULL CHECK (kind IN ('before', 'during', 'after')),
    ADD COLUMN account_id uuid NOT NULL,
    -- By the phone's clock. No clock of a case rests on a photo, so it is kept as it was told.
    ADD COLUMN observed_at timestamptz NOT NULL,
    -- Of the bytes that came, so that the same photo sent again is the same row; steps name photos by it.
    ADD COLUMN source_sha256 text NOT NULL CHECK (source_sha256 ~ '^[0-9a-f]{64}$'),
    ADD COLUMN source_type text NOT NULL CHECK (source_type IN ('image/jpeg', 'image/png', 'image/webp', 'image/heic')),
    ADD COLUMN source_bytes integer NOT NULL CHECK (source_bytes > 0),
    ADD COLUMN thumbnail_sha256 text NOT NULL CHECK (thumbnail_sha256 ~ '^[0-9a-f]{64}$'),
    ADD COLUMN width integer NOT NULL CHECK (width > 0),
    ADD COLUMN height integer NOT NULL CHECK (height > 0),
    -- Read from the photo before all of it was stripped; what the camera says, not what is known.
    ADD COLUMN taken_at timestamptz,
    ADD COLUMN lon double precision CHECK (lon BETWEEN -180 AND 180),
    ADD COLUMN lat double precision CHECK (lat BETWEEN -90 AND 90),
    ADD CONSTRAINT order_attachment_once UNIQUE (order_id, source_sha256),
    ADD CONSTRAINT order_attachment_place CHECK ((lon IS NULL) = (lat IS NULL));
-- For the sweep of files that no row names.
CREATE INDEX order_attachment_sha256 ON dispatch.order_attachment (sha256);
CREATE INDEX order_attachment_thumbnail ON dispatch.order_attachment (thumbnail_sha256);
SELECT sluice.make_append_only('dispatch.order_attachment');

-- The order, if it is or was one of the account's crew. A phone sends its photos when it can: the order may be done and the
-- loan to its district over by then, so that the crew's present scope does not show it.
CREATE FUNCTION dispatch.own_order(account uuid, wanted uuid)
RETURNS TABLE (order_id uuid, crew_id uuid, district_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    -- Given back before it returns; an error ends the transaction and the setting with it.
    scope CONSTANT text := coalesce(current_setting('sluice.districts', true), '');
BEGIN
    PERFORM set_config('sluice.districts', '*', true);
    RETURN QUERY
    SELECT o.order_id, o.crew_id, o.district_id
    FROM dispatch.crew_member m
    JOIN dispatch.work_order o ON o.crew_id = m.crew_id
    WHERE m.account_id = account AND o.order_id = wanted;
    PERFORM set_config('sluice.districts', scope, true);
END
$function$;

SELECT sluice.grant_service('dispatch');
