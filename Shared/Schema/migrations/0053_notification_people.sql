-- notification: the people of an office change, and whoever is off duty is not written to any more.

-- What a change is based on, as for offices and channels.
ALTER TABLE notification.recipient ADD COLUMN version integer NOT NULL DEFAULT 1;

-- What is on its way to one person: both tables grow with the days, and what is under way is a small part of them.
CREATE INDEX delivery_waiting_channel ON notification.delivery (channel_id) WHERE state = 'waiting';
CREATE INDEX link_recipient ON notification.link (recipient_id, expires_at) WHERE withdrawn_at IS NULL;

-- Ends the links of somebody who is not on duty; of anybody else, or outside the caller's scope, none. A function, since
-- requests have no right to the table (0050): they find a link by its key id, and end those of one person here.
CREATE FUNCTION notification.withdraw_links(person uuid) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
AS $function$
    WITH ended AS (
        UPDATE notification.link l
        SET withdrawn_at = clock_timestamp()
        FROM notification.recipient r
        WHERE r.recipient_id = person AND NOT r.active
          AND l.recipient_id = r.recipient_id AND l.withdrawn_at IS NULL AND l.expires_at > statement_timestamp()
        RETURNING l.kid
    )
    SELECT count(*) FROM ended
$function$;

GRANT EXECUTE ON FUNCTION notification.withdraw_links(uuid) TO sluice_notification_http, sluice_notification_bg;
