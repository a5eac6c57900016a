-- notification: who is told what, by which way, with what outcome, and who said that they know.

CREATE SCHEMA notification;
SELECT sluice.create_messaging('notification');
SELECT sluice.create_idempotency('notification');

-- A street's office; one without a street stands for its whole district and takes what no street office can.
CREATE TABLE notification.office (
    office_id   uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    district_id uuid NOT NULL,
    street_id   uuid,
    name_zh     text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 120),
    name_en     text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 120),
    version     integer NOT NULL DEFAULT 1,
    active      boolean NOT NULL DEFAULT true,
    UNIQUE NULLS NOT DISTINCT (district_id, street_id)
);
COMMENT ON TABLE notification.office IS 'Street offices (街道办), and one office a district for what no street covers';
SELECT sluice.protect('notification.office', 'facts');

-- Level 1 is told first; level 2 when nobody acknowledged in time.
CREATE TABLE notification.recipient (
    recipient_id uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    office_id    uuid NOT NULL REFERENCES notification.office,
    district_id  uuid NOT NULL,
    level        smallint NOT NULL CHECK (level IN (1, 2)),
    account_id   uuid,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    language     text NOT NULL DEFAULT 'zh' CHECK (language IN ('zh', 'en')),
    active       boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE notification.recipient IS 'People on duty in an office';
CREATE INDEX recipient_office ON notification.recipient (office_id, level) WHERE active;
CREATE INDEX recipient_account ON notification.recipient (account_id) WHERE account_id IS NOT NULL;
SELECT sluice.protect('notification.recipient', 'facts');

-- Ways to reach a recipient. Addresses and secrets are sealed under a key made from the master key: a copy of the
-- database tells nobody how to reach a person. While a secret is rotated, webhooks carry a signature of both.
CREATE TABLE notification.channel (
    channel_id      uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    recipient_id    uuid NOT NULL REFERENCES notification.recipient,
    district_id     uuid NOT NULL,
    -- A sink takes everything and passes nothing on; only the canary has one.
    kind            text NOT NULL CHECK (kind IN ('webhook', 'mail', 'sink')),
    address         bytea NOT NULL,
    secret          bytea,
    previous_secret bytea,
    previous_until  timestamptz,
    active          boolean NOT NULL DEFAULT true,
    version         integer NOT NULL DEFAULT 1,
    CHECK ((kind = 'webhook') = (secret IS NOT NULL))
);
COMMENT ON TABLE notification.channel IS 'Webhooks and mail addresses of recipients, sealed';
CREATE INDEX channel_recipient ON notification.channel (recipient_id) WHERE active;
SELECT sluice.protect('notification.channel', 'facts');

-- The snapshot of each case that was acted on last: what is done for a new one is the difference between the two.
CREATE TABLE notification.case_held (
    case_id     uuid PRIMARY KEY,
    version     bigint NOT NULL,
    district_id uuid NOT NULL,
    snapshot    jsonb NOT NULL
);
SELECT sluice.protect('notification.case_held', 'facts');

-- One notice a case, recipient, purpose and round. A notice without a recipient lies in its office's inbox only.
CREATE TABLE notification.notice (
    notice_id        uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    case_id          uuid NOT NULL,
    district_id      uuid NOT NULL,
    street_id        uuid,
    office_id        uuid,
    recipient_id     uuid,
    emergency        boolean NOT NULL,
    purpose          text NOT NULL CHECK (purpose IN ('emergency', 'escalation', 'routine', 'stood_down')),
    round            smallint NOT NULL,
    state            text NOT NULL DEFAULT 'pending' CHECK (state IN (
                         'pending', 'attempted', 'delivered', 'acknowledged', 'escalated', 'failed', 'withdrawn')),
    version          bigint NOT NULL DEFAULT 1,
    case_opened_at   timestamptz NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    escalate_at      timestamptz,
    first_attempt_at timestamptz,
    delivered_at     timestamptz,
    acknowledged_at  timestamptz,
    acknowledged_by  text,
    -- As the person gave it, by a link; an account's own otherwise.
    acknowledged_name text CHECK (length(acknowledged_name) BETWEEN 1 AND 120),
    reason           text NOT NULL,
    CONSTRAINT notice_once UNIQUE NULLS NOT DISTINCT (case_id, office_id, recipient_id, purpose, round)
);
COMMENT ON TABLE notification.notice IS 'Who was told of a case, why, and what they answered';
CREATE INDEX notice_office ON notification.notice (office_id, notice_id DESC);
CREATE INDEX notice_district ON notification.notice (district_id, notice_id DESC);
CREATE INDEX notice_escalate ON notification.notice (escalate_at) WHERE escalate_at IS NOT NULL;
SELECT sluice.protect('notification.notice', 'facts');

-- What goes out: one row a notice and channel. Its id is the message's id on every repeat (I3). The claim writes attempt
-- and lease and commits before anything is sent; a result counts only under its own lease.
CREATE TABLE notification.delivery (
    delivery_id  uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    notice_id    uuid NOT NULL REFERENCES notification.notice,
    district_id  uuid NOT NULL,
    channel_id   uuid NOT NULL REFERENCES notification.channel,
    kind         text NOT NULL,
    emergency    boolean NOT NULL,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed', 'withdrawn')),
    attempt      integer NOT NULL DEFAULT 0,
    next_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease        uuid,
    lease_until  timestamptz,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    CONSTRAINT delivery_once UNIQUE (notice_id, channel_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE notification.delivery IS 'Messages to outside systems, each with its outcome';
CREATE INDEX delivery_due ON notification.delivery (emergency DESC, next_at) WHERE state = 'waiting';
SELECT sluice.protect('notification.delivery', 'facts');

CREATE TABLE notification.delivery_attempt (
    delivery_id uuid NOT NULL REFERENCES notification.delivery,
    district_id uuid NOT NULL,
    attempt     integer NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('delivered', 'refused', 'unknown', 'not_sent')),
    -- Status, reply code or reason; never an address or a body.
    detail      text NOT NULL CHECK (length(detail) <= 300),
    PRIMARY KEY (delivery_id, attempt)
);
COMMENT ON TABLE notification.delivery_attempt IS 'The log of deliveries';
SELECT sluice.protect('notification.delivery_attempt', 'facts');
SELECT sluice.make_append_only('notification.delivery_attempt');

-- Comments of offices on a case.
CREATE TABLE notification.comment (
    comment_id  uuid PRIMARY KEY,
    notice_id   uuid NOT NULL REFERENCES notification.notice,
    case_id     uuid NOT NULL,
    district_id uuid NOT NULL,
    author      text NOT NULL,
    author_name text NOT NULL CHECK (length(author_name) BETWEEN 1 AND 120),
    body        text NOT NULL CHECK (length(body) BETWEEN 1 AND 2000),
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX comment_notice ON notification.comment (notice_id);
CREATE INDEX comment_case ON notification.comment (case_id, comment_id);
SELECT sluice.protect('notification.comment', 'facts');

-- Signed links: one notice, one recipient, one purpose. The token is not here; it is made from the row and a key that
-- only the service has. Withdrawn by key id. City-wide, since who opens a link has no scope yet: requests look one up
-- by its key id through the function, and nobody lists them.
CREATE TABLE notification.link (
    kid           text PRIMARY KEY CHECK (kid ~ '^[A-Za-z0-9_-]{16,32}$'),
    notice_id     uuid NOT NULL REFERENCES notification.notice,
    recipient_id  uuid NOT NULL REFERENCES notification.recipient,
    link_district uuid NOT NULL,
    purpose       text NOT NULL CHECK (purpose IN ('acknowledge')),
    expires_at    timestamptz NOT NULL,
    withdrawn_at  timestamptz,
    UNIQUE (notice_id, recipient_id, purpose)
);
COMMENT ON TABLE notification.link IS 'Signed links that were sent, by key id';

CREATE FUNCTION notification.find_link(wanted text)
RETURNS TABLE (notice_id uuid, recipient_id uuid, link_district uuid, purpose text, expires_at timestamptz,
               withdrawn_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
AS $function$
    SELECT l.notice_id, l.recipient_id, l.link_district, l.purpose, l.expires_at, l.withdrawn_at
    FROM notification.link l
    WHERE l.kid = wanted
$function$;

-- Deletes what the canary's rounds made before that time.
CREATE FUNCTION notification.purge_canaries(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    -- Given back before it returns; an error ends the transaction and the setting with it.
    scope CONSTANT text := coalesce(current_setting('sluice.districts', true), '');
    notices uuid[];
    cases uuid[];
    deliveries uuid[];
BEGIN
    PERFORM set_config('sluice.districts', sluice.canary()::text, true);
    notices := ARRAY (
        SELECT notice_id FROM notification.notice
        WHERE district_id = sluice.canary() AND notice_id < sluice.uuid_v7_floor(before));
    cases := ARRAY (SELECT case_id FROM notification.notice WHERE notice_id = ANY (notices));
    deliveries := ARRAY (
        SELECT delivery_id FROM notification.delivery WHERE notice_id = ANY (notices));
    DELETE FROM notification.delivery_attempt WHERE delivery_id = ANY (deliveries);
    DELETE FROM notification.delivery WHERE delivery_id = ANY (deliveries);
    DELETE FROM notification.link WHERE notice_id = ANY (notices);
    DELETE FROM notification.notice WHERE notice_id = ANY (notices);
    DELETE FROM notification.case_held WHERE case_id = ANY (cases);
    DELETE FROM notification.inbox i
    WHERE i.event_id = ANY (ARRAY (
        SELECT id FROM dispatch.history WHERE canary AND id < sluice.uuid_v7_floor(before)));
    PERFORM notification.purge_canary_events(before);
    PERFORM set_config('sluice.districts', scope, true);
    RETURN cardinality(notices);
END
$function$;

CREATE VIEW notification.api_office AS
SELECT o.office_id, o.street_id, o.district_id, o.name_zh, o.name_en, o.active
FROM notification.office o;

CREATE VIEW notification.api_notice AS
SELECT n.notice_id, n.case_id, n.district_id, n.street_id, n.office_id, o.name_zh AS office_name,
       o.name_en AS office_name_en, r.name AS recipient_name, n.purpose, n.round, n.state, n.emergency, n.version,
       (SELECT array_agg(DISTINCT d.kind ORDER BY d.kind) FROM notification.delivery d WHERE d.notice_id = n.notice_id)
           AS channel_kinds,
       n.created_at, n.first_attempt_at, n.delivered_at, n.acknowledged_at, n.acknowledged_by, n.escalate_at, n.reason,
       (SELECT string_agg(c.author_name || ': ' || c.body, E'\n' ORDER BY c.comment_id)
        FROM notification.comment c WHERE c.notice_id = n.notice_id) AS comment, n.acknowledged_name
FROM notification.notice n
LEFT JOIN notification.office o ON o.office_id = n.office_id
LEFT JOIN notification.recipient r ON r.recipient_id = n.recipient_id;

SET LOCAL sluice.districts = '*';
INSERT INTO notification.office (office_id, district_id, name_zh, name_en, active)
VALUES (sluice.city(), sluice.city(), '哨兵', 'Sentinel', false);
INSERT INTO notification.notice (notice_id, case_id, district_id, office_id, emergency, purpose, round, state,
                                 case_opened_at, reason)
VALUES (sluice.city(), sluice.city(), sluice.city(), sluice.city(), false, 'routine', 1, 'withdrawn', 'epoch', 'sentinel');
INSERT INTO sluice.sentinel (view_name, key_column, key_value)
VALUES ('notification.api_office', 'office_id', sluice.city()::text),
       ('notification.api_notice', 'notice_id', sluice.city()::text);

-- Who is told in the canary's rounds: one person on duty whose channel is the sink.
SELECT set_config('sluice.districts', sluice.canary()::text, true);
INSERT INTO notification.office (office_id, district_id, name_zh, name_en)
VALUES ('00000000-0000-7000-8000-0000000000cc', sluice.canary(), '金丝雀', 'Canary');
INSERT INTO notification.recipient (recipient_id, office_id, district_id, level, name)
VALUES ('00000000-0000-7000-8000-0000000000cd', '00000000-0000-7000-8000-0000000000cc', sluice.canary(), 1, 'canary');
INSERT INTO notification.channel (channel_id, recipient_id, district_id, kind, address)
VALUES (
    '00000000-0000-7000-8000-0000000000ce', '00000000-0000-7000-8000-0000000000cd', sluice.canary(), 'sink', '');

SELECT sluice.grant_service('notification');
-- By key id and through the function only.
REVOKE ALL ON notification.link FROM sluice_notification_http;
