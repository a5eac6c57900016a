-- intake: what people say, how they follow it, their photos; accounts and sign-in.

CREATE SCHEMA intake;
SELECT sluice.create_messaging('intake');
SELECT sluice.create_idempotency('intake');

-- Reports -------------------------------------------------------------------------------------------------------------

-- What one person said, once. Never changed: what becomes of it is dispatch's to say.
CREATE TABLE intake.report (
    report_id        uuid NOT NULL DEFAULT sluice.uuid_v7(clock_timestamp()),
    district_id      uuid NOT NULL,
    street_id        uuid,
    grid_id          uuid,
    community_id     uuid,
    facility_id      uuid,
    kind             text NOT NULL CHECK (kind IN ('hazard', 'complaint', 'request', 'finding', 'reading', 'alert')),
    category         text NOT NULL CHECK (length(category) BETWEEN 1 AND 64),
    category_version integer NOT NULL,
    channel          text NOT NULL CHECK (channel IN ('web', 'phone', 'crew', 'office', 'sensor', 'system', 'drill')),
    emergency        boolean NOT NULL,
    severity         smallint NOT NULL CHECK (severity BETWEEN 1 AND 5),
    person_at_risk   boolean NOT NULL DEFAULT false,
    verified         boolean NOT NULL DEFAULT true,
    verdict          text NOT NULL CHECK (verdict IN ('signed_in', 'within_budget', 'device_over_budget',
                         'prefix_over_budget', 'no_device', 'routine')),
    lon              double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat              double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    address          text CHECK (length(address) <= 200),
    description      text NOT NULL CHECK (length(description) <= 2000),
    language         text NOT NULL CHECK (language IN ('zh', 'en')),
    observed_at      timestamptz NOT NULL,
    received_at      timestamptz NOT NULL,
    -- The device under a keyed hash; null for people who are signed in.
    device_hash      text CHECK (length(device_hash) <= 64),
    account_id       uuid,
    person_id        uuid,
    rule_version     integer NOT NULL,
    rule_code        text NOT NULL,
    rule_reason_zh   text NOT NULL,
    rule_reason_en   text NOT NULL,
    rule_inputs      jsonb NOT NULL,
    PRIMARY KEY (report_id)
) PARTITION BY RANGE (report_id);
COMMENT ON TABLE intake.report IS 'What one person or sensor said, once, with the decision whether it is an emergency';
COMMENT ON COLUMN intake.report.lon IS 'Degrees east, CRS84';
COMMENT ON COLUMN intake.report.lat IS 'Degrees north, CRS84';
COMMENT ON COLUMN intake.report.verdict IS 'Why the sender counts as verified or not; routine: nobody asked';
COMMENT ON COLUMN intake.report.rule_inputs IS 'What the emergency rule saw: words of the catalogue, never the sender''s';
SELECT sluice.ensure_month_partitions('intake.report');
SELECT sluice.protect('intake.report', 'facts');
SELECT sluice.make_append_only('intake.report');

-- Where a tracking code leads. City-wide and without row-level security, since the code is all that its owner has: read
-- only through intake.find_tracking, by the keyed hash of a code.
CREATE TABLE intake.tracking (
    code_hash       bytea PRIMARY KEY CHECK (length(code_hash) = 32),
    report_id       uuid NOT NULL,
    report_district uuid NOT NULL
);
COMMENT ON TABLE intake.tracking IS 'Tracking codes by keyed hash; the code itself is nowhere in the database';
SELECT sluice.make_append_only('intake.tracking');

CREATE FUNCTION intake.find_tracking(hash bytea) RETURNS TABLE (report_id uuid, report_district uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $function$
    SELECT t.report_id, t.report_district FROM intake.tracking t WHERE t.code_hash = hash
$function$;

-- Who left a contact. Everything personal is encrypted with this person's own key, which is wrapped by the master key:
-- to destroy the key is to erase the person, while the facts of the case stay.
CREATE TABLE intake.person (
    person_id   uuid PRIMARY KEY,
    district_id uuid NOT NULL,
    wrapped_key bytea,
    -- Keyed hash of the normalised contact, so that one person's reports can be found for export and erasure.
    lookup_hash bytea NOT NULL CHECK (length(lookup_hash) = 32),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at   timestamptz,
    CHECK ((wrapped_key IS NULL) = (erased_at IS NOT NULL))
);
COMMENT ON TABLE intake.person IS 'A contact''s own key, wrapped by the master key; null once the person was erased';
CREATE INDEX person_lookup ON intake.person (lookup_hash);
SELECT sluice.protect('intake.person', 'facts');

CREATE TABLE intake.contact (
    report_id   uuid PRIMARY KEY,
    district_id uuid NOT NULL,
    person_id   uuid NOT NULL REFERENCES intake.person,
    -- AES-256-GCM under the person's key of a JSON object {name?, phone?, email?}.
    sealed      bytea NOT NULL CHECK (length(sealed) <= 2048)
);
COMMENT ON TABLE intake.contact IS 'How to reach the sender of a report, sealed with the person''s key';
SELECT sluice.protect('intake.contact', 'facts');

-- Each look at a contact, written before anything is shown.
CREATE TABLE intake.contact_look (
    look_id     uuid PRIMARY KEY,
    report_id   uuid NOT NULL,
    district_id uuid NOT NULL,
    person_id   uuid NOT NULL,
    account_id  uuid NOT NULL,
    purpose     text NOT NULL CHECK (length(purpose) BETWEEN 4 AND 300),
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE intake.contact_look IS 'Who looked at a sender''s contact, when, and why';
CREATE INDEX contact_look_account ON intake.contact_look (account_id, at);
CREATE INDEX contact_look_report ON intake.contact_look (report_id);
CREATE INDEX contact_look_district ON intake.contact_look (district_id, look_id);
SELECT sluice.protect('intake.contact_look', 'facts');
SELECT sluice.make_append_only('intake.contact_look');

-- Attachments ---------------------------------------------------------------------------------------------------------

-- One row a file in the store. The row that names a file commits after the file is safe on disk.
CREATE TABLE intake.blob (
    sha256       text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    content_type text NOT NULL CHECK (content_type IN ('image/jpeg')),
    bytes        integer NOT NULL CHECK (bytes > 0),
    width        integer NOT NULL CHECK (width > 0),
    height       integer NOT NULL CHECK (height > 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE intake.blob IS 'Files of the attachment store by content hash; all are pictures that we encoded ourselves';

CREATE TABLE intake.attachment (
    attachment_id    uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    report_id        uuid NOT NULL,
    district_id      uuid NOT NULL,
    ordinal          smallint NOT NULL CHECK (ordinal BETWEEN 1 AND 6),
    -- Of the bytes that came, so that the same photo sent again is the same attachment.
    source_sha256    text NOT NULL CHECK (source_sha256 ~ '^[0-9a-f]{64}$'),
    source_type      text NOT NULL CHECK (source_type IN ('image/jpeg', 'image/png', 'image/webp', 'image/heic')),
    source_bytes     integer NOT NULL CHECK (source_bytes > 0),
    sha256           text NOT NULL REFERENCES intake.blob,
    thumbnail_sha256 text NOT NULL REFERENCES intake.blob,
    -- Read from the photo before all of it was stripped; what the camera says, not what is known.
    taken_at         timestamptz,
    lon              double precision CHECK (lon BETWEEN -180 AND 180),
    lat              double precision CHECK (lat BETWEEN -90 AND 90),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT attachment_place UNIQUE (report_id, ordinal),
    CONSTRAINT attachment_once UNIQUE (report_id, source_sha256),
    CHECK ((lon IS NULL) = (lat IS NULL))
);
COMMENT ON TABLE intake.attachment IS 'Photos of a report, each as a picture that may be shown and a thumbnail';
CREATE INDEX attachment_sha256 ON intake.attachment (sha256);
CREATE INDEX attachment_thumbnail ON intake.attachment (thumbnail_sha256);
SELECT sluice.protect('intake.attachment', 'facts');

-- Accounts and sign-in ------------------------------------------------------------------------------------------------

CREATE TABLE intake.account (
    account_id      uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    -- Lower case, so that one name is one account.
    login           text NOT NULL CHECK (login ~ '^[a-z0-9][a-z0-9._@-]{1,63}$'),
    display_name    text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 80),
    roles           text[] NOT NULL CHECK (
                        roles <@ ARRAY['crew', 'dispatcher', 'office', 'manager', 'admin', 'system']
                        AND cardinality(roles) BETWEEN 1 AND 6),
    -- District ids; the whole city is the city's own id.
    districts       uuid[] NOT NULL CHECK (cardinality(districts) <= 64),
    active          boolean NOT NULL DEFAULT true,
    -- scrypt in the form $scrypt$ln=15,r=8,p=3$salt$key; null for those who sign in elsewhere.
    password_hash   text,
    -- `iss sub` of an external issuer.
    external_id     text UNIQUE CHECK (length(external_id) <= 400),
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT account_login UNIQUE (login)
);
COMMENT ON TABLE intake.account IS 'Who may sign in, with roles and districts; each change is a row of intake.history';

-- One sign-in on one device. The refresh token in use is the only one whose hash is current.
CREATE TABLE intake.session (
    session_id  uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES intake.account,
    -- Keyed hash of the device that signed in; refreshing from another one ends the session.
    device_hash text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    end_reason  text CHECK (end_reason IN ('signed_out', 'signed_out_everywhere', 'token_reused', 'account_changed'))
);
COMMENT ON TABLE intake.session IS 'Sign-ins; a session ends by sign-out, expiry, or a refresh token used twice';
CREATE INDEX session_account ON intake.session (account_id) WHERE ended_at IS NULL;

CREATE TABLE intake.refresh_token (
    token_hash  bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    session_id  uuid NOT NULL REFERENCES intake.session,
    issued_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    used_at     timestamptz,
    replaced_by bytea
);
COMMENT ON TABLE intake.refresh_token IS 'Refresh tokens by hash; each works once, and a second use ends its session';
CREATE INDEX refresh_token_session ON intake.refresh_token (session_id);

-- Access tokens live ten minutes; until then this table says which are void.
CREATE TABLE intake.revocation (
    revocation_id uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    subject       uuid NOT NULL,
    -- Null: every token of the subject issued before revoked_at.
    session_id    uuid,
    revoked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at    timestamptz NOT NULL
);
COMMENT ON TABLE intake.revocation IS 'Sessions and people whose access tokens are void before they expire';
CREATE INDEX revocation_expiry ON intake.revocation (expires_at);

-- Keys that sign access tokens. The private part is wrapped by the master key.
CREATE TABLE intake.signing_key (
    kid             text PRIMARY KEY CHECK (length(kid) BETWEEN 1 AND 64),
    alg             text NOT NULL CHECK (alg = 'EdDSA'),
    public_key      bytea NOT NULL CHECK (length(public_key) = 32),
    wrapped_private bytea,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Signs from here on; published from created_at on.
    not_before      timestamptz NOT NULL,
    not_after       timestamptz NOT NULL CHECK (not_after > not_before)
);
COMMENT ON TABLE intake.signing_key IS 'Ed25519 keys of the built-in issuer; published an hour before use';

-- Symmetric keys of the service itself (for hashes that must not be guessable), wrapped by the master key, so that a new
-- master key needs them wrapped anew and nothing hashed anew.
CREATE TABLE intake.keyring (
    name        text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    wrapped_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE intake.keyring IS 'The service''s own keys, wrapped by the master key';

-- Counters ------------------------------------------------------------------------------------------------------------

-- Lost with a crash, and that is well: they forgive. Unlogged, since they change with every emergency and sign-in.
CREATE UNLOGGED TABLE intake.sender_level (
    bucket bytea PRIMARY KEY,
    level  double precision NOT NULL,
    at     timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE intake.sender_level IS 'How many emergencies a device or address prefix reported lately (leaky bucket)';

CREATE UNLOGGED TABLE intake.sign_in_attempt (
    bucket     bytea PRIMARY KEY,
    failures   integer NOT NULL,
    not_before timestamptz NOT NULL,
    at         timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE intake.sign_in_attempt IS 'Failed sign-ins of an account name or address, and when the next may be tried';

-- The canary ----------------------------------------------------------------------------------------------------------

-- Deletes what the canary's rounds made before that time. Its tracking codes are its report's id twice, so that they are
-- found again; no person's code can be, since those are keyed hashes.
CREATE FUNCTION intake.purge_canaries(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    -- Given back before it returns; an error ends the transaction and the setting with it.
    scope CONSTANT text := coalesce(current_setting('sluice.districts', true), '');
    reports uuid[];
    gone bigint;
BEGIN
    PERFORM set_config('sluice.districts', sluice.canary()::text, true);
    reports := ARRAY (
        SELECT aggregate_id FROM intake.history WHERE canary AND id < sluice.uuid_v7_floor(before));
    DELETE FROM intake.tracking
    WHERE code_hash = ANY (ARRAY (SELECT uuid_send(r) || uuid_send(r) FROM unnest(reports) r));
    DELETE FROM intake.report WHERE report_id = ANY (reports) AND district_id = sluice.canary();
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM intake.purge_canary_events(before);
    PERFORM set_config('sluice.districts', scope, true);
    RETURN gone;
END
$function$;

-- Views ---------------------------------------------------------------------------------------------------------------

CREATE VIEW intake.api_report AS
SELECT report_id, district_id, street_id, grid_id, community_id, category, kind, emergency, verified, lon, lat, address,
       description, received_at, observed_at, channel, rule_version, rule_reason_zh AS rule_reason,
       facility_id, severity, person_at_risk, verdict, language, rule_code, rule_reason_zh, rule_reason_en, rule_inputs,
       category_version, device_hash
FROM intake.report;

CREATE VIEW intake.api_attachment AS
SELECT a.report_id, a.district_id, a.sha256, b.content_type, b.width, b.height, b.bytes, a.taken_at,
       CASE WHEN a.lon IS NOT NULL THEN jsonb_build_object(
           'type', 'Point', 'coordinates', jsonb_build_array(a.lon, a.lat)) END AS position,
       a.ordinal, a.thumbnail_sha256, a.lon, a.lat
FROM intake.attachment a JOIN intake.blob b USING (sha256);

CREATE VIEW intake.api_jwks AS
SELECT kid, alg, public_key, created_at AS not_before, not_after FROM intake.signing_key;
COMMENT ON VIEW intake.api_jwks IS 'Public keys; not_before is when the key was published, an hour before it signs';

CREATE VIEW intake.api_revocation AS
SELECT subject, session_id, revoked_at, expires_at FROM intake.revocation;

CREATE VIEW intake.api_account AS
SELECT account_id, login, display_name, roles, districts, active FROM intake.account;

-- Sentinels: rows of the city that every reader must see; none is a report, a key or an account that works.
SELECT set_config('sluice.districts', '*', true);
INSERT INTO intake.report (
    report_id, district_id, kind, category, category_version, channel, emergency, severity, verdict, lon, lat,
    description, language, observed_at, received_at, rule_version, rule_code, rule_reason_zh, rule_reason_en, rule_inputs)
VALUES (
    '00000000-0000-7000-8000-000000000010', sluice.city(), 'reading', 'sentinel', 0, 'system', false, 1, 'routine', 0, 0,
    '', 'zh', 'epoch', 'epoch', 0, 'sentinel', '', '', '{}');
INSERT INTO intake.blob (sha256, content_type, bytes, width, height)
VALUES (repeat('0', 64), 'image/jpeg', 1, 1, 1);
INSERT INTO intake.attachment (
    attachment_id, report_id, district_id, ordinal, source_sha256, source_type, source_bytes, sha256, thumbnail_sha256)
VALUES (
    '00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000010', sluice.city(), 1, repeat('0', 64),
    'image/jpeg', 1, repeat('0', 64), repeat('0', 64));
INSERT INTO intake.account (account_id, login, display_name, roles, districts, active)
VALUES ('00000000-0000-7000-8000-000000000012', 'sentinel', 'sentinel', '{system}', '{}', false);
INSERT INTO intake.signing_key (kid, alg, public_key, created_at, not_before, not_after)
VALUES ('sentinel', 'EdDSA', decode(repeat('00', 32), 'hex'), 'epoch', 'epoch', '1970-01-02');
INSERT INTO intake.revocation (revocation_id, subject, session_id, revoked_at, expires_at)
VALUES (
    '00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000012',
    '00000000-0000-7000-8000-000000000014', 'epoch', 'infinity');
INSERT INTO sluice.sentinel (view_name, key_column, key_value) VALUES
    ('intake.api_report', 'report_id', '00000000-0000-7000-8000-000000000010'),
    ('intake.api_attachment', 'report_id', '00000000-0000-7000-8000-000000000010'),
    ('intake.api_account', 'account_id', '00000000-0000-7000-8000-000000000012'),
    ('intake.api_jwks', 'kid', 'sentinel'),
    ('intake.api_revocation', 'session_id', '00000000-0000-7000-8000-000000000014');

-- Grants --------------------------------------------------------------------------------------------------------------

SELECT sluice.grant_service('intake');
-- Nobody lists tracking codes, not even the service: by hash and through the function only.
REVOKE SELECT ON intake.tracking FROM sluice_intake_http, sluice_intake_bg, sluice_control;
