-- dispatch: categories, cases and what became of each report, crews and their work orders.

-- The owner is under the district scope too; sentinels are rows of the city.
SELECT set_config('sluice.districts', '*', true);

CREATE SCHEMA dispatch;
SELECT sluice.create_messaging('dispatch');
SELECT sluice.create_idempotency('dispatch');

-- Categories ----------------------------------------------------------------------------------------------------------

-- City-wide master data: wording, skills, radius, clocks. A change makes a new version; a case names the one it used.
CREATE TABLE dispatch.category (
    code              text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_]{0,47}$'),
    version           integer NOT NULL DEFAULT 1 CHECK (version > 0),
    active            boolean NOT NULL DEFAULT true,
    kind              text NOT NULL CHECK (kind IN ('hazard', 'complaint', 'request', 'finding', 'reading', 'alert')),
    category_group    text NOT NULL CHECK (category_group ~ '^[a-z][a-z0-9_]{0,47}$'),
    name_zh           text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 80),
    name_en           text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 80),
    severity          smallint NOT NULL CHECK (severity BETWEEN 1 AND 5),
    emergency_words   text[] NOT NULL DEFAULT '{}',
    emergency_places  text[] NOT NULL DEFAULT '{}',
    always_emergency  boolean NOT NULL DEFAULT false,
    merge_radius_m    integer NOT NULL CHECK (merge_radius_m BETWEEN 1 AND 500),
    merge_window_min  integer NOT NULL CHECK (merge_window_min BETWEEN 1 AND 43200),
    skills            text[] NOT NULL DEFAULT '{}',
    respond_min       integer NOT NULL CHECK (respond_min BETWEEN 1 AND 525600),
    arrive_min        integer NOT NULL CHECK (arrive_min BETWEEN 1 AND 525600),
    resolve_min       integer NOT NULL CHECK (resolve_min BETWEEN 1 AND 525600),
    storm_respond_min integer NOT NULL CHECK (storm_respond_min BETWEEN 1 AND 525600),
    storm_arrive_min  integer NOT NULL CHECK (storm_arrive_min BETWEEN 1 AND 525600),
    storm_resolve_min integer NOT NULL CHECK (storm_resolve_min BETWEEN 1 AND 525600),
    storm_from        text NOT NULL DEFAULT 'yellow' CHECK (storm_from IN ('blue', 'yellow', 'orange', 'red')),
    position          integer NOT NULL DEFAULT 0,
    changed_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by        text NOT NULL DEFAULT 'system'
);
COMMENT ON TABLE dispatch.category IS 'What can be reported, with its skills, merge radius and clocks; city-wide';

-- Every version that ever counted, so that an old case still shows what it was held to.
CREATE TABLE dispatch.category_version (
    code       text NOT NULL,
    version    integer NOT NULL,
    body       jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (code, version)
);
COMMENT ON TABLE dispatch.category_version IS 'Each version of each category; city-wide';
SELECT sluice.make_append_only('dispatch.category_version');

CREATE FUNCTION dispatch.keep_category_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
BEGIN
    INSERT INTO dispatch.category_version (code, version, body, changed_at, changed_by)
    VALUES (NEW.code, NEW.version, to_jsonb(NEW), NEW.changed_at, NEW.changed_by)
    ON CONFLICT (code, version) DO NOTHING;
    RETURN NULL;
END
$function$;
CREATE TRIGGER category_version AFTER INSERT OR UPDATE ON dispatch.category
FOR EACH ROW EXECUTE FUNCTION dispatch.keep_category_version();

-- Storm levels --------------------------------------------------------------------------------------------------------

CREATE TABLE dispatch.storm_level (
    district_id uuid PRIMARY KEY,
    level       text NOT NULL CHECK (level IN ('none', 'blue', 'yellow', 'orange', 'red')),
    version     integer NOT NULL CHECK (version > 0),
    since       timestamptz NOT NULL,
    reason      text CHECK (length(reason) <= 500),
    changed_by  text NOT NULL,
    -- Up to which version the open cases' clocks have been set anew.
    applied_version integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE dispatch.storm_level IS 'The level that is in force; a district without a row has none';
SELECT sluice.protect('dispatch.storm_level');

-- Cases ---------------------------------------------------------------------------------------------------------------

-- One problem in the world. Not partitioned: it is looked up and updated by its open part, which partial indexes keep
-- small, and triage must find neighbours whatever their month.
CREATE SEQUENCE dispatch.case_number AS bigint;
CREATE SEQUENCE dispatch.canary_number AS bigint INCREMENT -1;
CREATE TABLE dispatch.case_file (
    case_id                 uuid PRIMARY KEY,
    -- What people call it by. The canary's cases have negative numbers, so that they leave no gaps among these.
    number                  bigint NOT NULL UNIQUE DEFAULT nextval('dispatch.case_number'),
    district_id             uuid NOT NULL,
    responsible_district_id uuid NOT NULL,
    street_id               uuid,
    grid_id                 uuid,
    community_id            uuid,
    facility_id             uuid,
    kind                    text NOT NULL
        CHECK (kind IN ('hazard', 'complaint', 'request', 'finding', 'reading', 'alert')),
    category                text NOT NULL,
    category_version        integer NOT NULL,
    category_group          text NOT NULL,
    emergency               boolean NOT NULL,
    verified                boolean NOT NULL,
    person_at_risk          boolean NOT NULL DEFAULT false,
    severity                smallint NOT NULL CHECK (severity BETWEEN 1 AND 5),
    state                   text NOT NULL CHECK (state IN ('received', 'filed', 'dispatched', 'handling', 'verification',
                                'closed', 'reopened', 'merged', 'rejected', 'suspended')),
    -- What a suspended or merged case returns to.
    former_state            text CHECK (former_state IN ('received', 'filed', 'dispatched', 'reopened', 'suspended')),
    lon                     double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat                     double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    cell                    bigint NOT NULL,
    opened_at               timestamptz NOT NULL,
    last_report_at          timestamptz NOT NULL,
    respond_due             timestamptz,
    arrive_due              timestamptz,
    resolve_due             timestamptz,
    -- The storm level that the clocks were set by.
    clock_level             text NOT NULL DEFAULT 'none'
        CHECK (clock_level IN ('none', 'blue', 'yellow', 'orange', 'red')),
    responded_at            timestamptz,
    arrived_at              timestamptz,
    resolved_at             timestamptz,
    closed_at               timestamptz,
    suspended_at            timestamptz,
    paused_seconds          integer NOT NULL DEFAULT 0,
    merged_into             uuid REFERENCES dispatch.case_file,
    perhaps_same            uuid,
    perhaps_again           uuid,
    crew_id                 uuid,
    order_id                uuid,
    report_count            integer NOT NULL CHECK (report_count >= 0),
    devices                 text[] NOT NULL DEFAULT '{}',
    reason_code             text NOT NULL,
    reason_zh               text NOT NULL,
    reason_en               text NOT NULL,
    canary                  boolean NOT NULL DEFAULT false,
    version                 integer NOT NULL CHECK (version > 0),
    changed_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'merged') = (merged_into IS NOT NULL)),
    CHECK ((state IN ('closed', 'merged', 'rejected')) = (closed_at IS NOT NULL)),
    CHECK (merged_into IS DISTINCT FROM case_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE dispatch.case_file IS 'One problem in the world; many reports may describe it';
COMMENT ON COLUMN dispatch.case_file.lon IS 'Degrees east, CRS84; the first report''s place';
COMMENT ON COLUMN dispatch.case_file.lat IS 'Degrees north, CRS84';
COMMENT ON COLUMN dispatch.case_file.cell IS 'Number of the 0.0025° cell, to find neighbours by; never the criterion';
COMMENT ON COLUMN dispatch.case_file.devices IS 'Hashes of the first devices that reported it, to tell a second sender';
CREATE INDEX case_file_neighbours ON dispatch.case_file (category_group, cell, last_report_at DESC)
    WHERE state IN ('received', 'filed', 'dispatched', 'handling', 'verification', 'reopened', 'suspended');
CREATE INDEX case_file_just_closed ON dispatch.case_file (category_group, cell, closed_at DESC) WHERE state = 'closed';
CREATE INDEX case_file_list ON dispatch.case_file (district_id, opened_at DESC, case_id DESC);
CREATE INDEX case_file_responsible ON dispatch.case_file (responsible_district_id, opened_at DESC, case_id DESC)
    WHERE responsible_district_id <> district_id;
CREATE INDEX case_file_emergencies ON dispatch.case_file (district_id, opened_at DESC, case_id DESC) WHERE emergency;
CREATE INDEX case_file_street ON dispatch.case_file (street_id, opened_at DESC);
CREATE INDEX case_file_community ON dispatch.case_file (community_id, opened_at DESC) WHERE community_id IS NOT NULL;
CREATE INDEX case_file_canary ON dispatch.case_file (opened_at) WHERE canary;
CREATE INDEX case_file_merged ON dispatch.case_file (merged_into) WHERE merged_into IS NOT NULL;
SELECT sluice.protect('dispatch.case_file');

-- What became of each report: its membership of a case (with what triage needs of it), or its rejection. The key is what
-- makes "in exactly one case" true. A dead letter shows in the view, as long as this place is free.
CREATE TABLE dispatch.report_state (
    report_id        uuid PRIMARY KEY,
    district_id      uuid NOT NULL,
    outcome          text NOT NULL CHECK (outcome IN ('case', 'rejected')),
    case_id          uuid,
    -- The case that it was filed under; differs from case_id after a merge, so that an unmerge finds it.
    filed_case_id    uuid,
    reason           text NOT NULL,
    category         text NOT NULL,
    kind             text NOT NULL,
    channel          text NOT NULL,
    emergency        boolean NOT NULL,
    verified         boolean NOT NULL,
    severity         smallint NOT NULL,
    device_hash      text,
    lon              double precision NOT NULL,
    lat              double precision NOT NULL,
    observed_at      timestamptz NOT NULL,
    received_at      timestamptz NOT NULL,
    decided_at       timestamptz NOT NULL,
    CHECK ((outcome = 'case') = (case_id IS NOT NULL))
);
COMMENT ON TABLE dispatch.report_state IS 'One row a report: the case it belongs to, or why it was rejected';
CREATE INDEX report_state_case ON dispatch.report_state (case_id, received_at);
CREATE INDEX report_state_filed ON dispatch.report_state (filed_case_id) WHERE filed_case_id IS NOT NULL;
SELECT sluice.protect('dispatch.report_state');

-- The next clock of a case that can run out. One row a case, gone when nothing can.
CREATE TABLE dispatch.due (
    case_id     uuid PRIMARY KEY,
    district_id uuid NOT NULL,
    clock       text NOT NULL CHECK (clock IN ('respond', 'arrive', 'resolve')),
    due_at      timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
COMMENT ON TABLE dispatch.due IS 'The next clock of each case that can run out';
CREATE INDEX due_next ON dispatch.due (due_at);
SELECT sluice.protect('dispatch.due');

CREATE TABLE dispatch.overdue_mark (
    case_id      uuid NOT NULL,
    clock        text NOT NULL CHECK (clock IN ('respond', 'arrive', 'resolve')),
    due_at       timestamptz NOT NULL,
    district_id  uuid NOT NULL,
    raised_at    timestamptz NOT NULL,
    withdrawn_at timestamptz,
    withdrawn_reason text,
    PRIMARY KEY (case_id, clock, due_at)
);
COMMENT ON TABLE dispatch.overdue_mark IS 'Clocks that ran out; withdrawn if a late observation shows that one was met';
SELECT sluice.protect('dispatch.overdue_mark');

-- Crews ---------------------------------------------------------------------------------------------------------------

CREATE TABLE dispatch.crew (
    crew_id     uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    district_id uuid NOT NULL,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    vehicle     text CHECK (length(vehicle) <= 80),
    skills      text[] NOT NULL DEFAULT '{}',
    depot_lon   double precision NOT NULL CHECK (depot_lon BETWEEN -180 AND 180),
    depot_lat   double precision NOT NULL CHECK (depot_lat BETWEEN -90 AND 90),
    -- How many unstarted routine orders it may have in its list.
    list_limit  integer NOT NULL DEFAULT 8 CHECK (list_limit BETWEEN 1 AND 100000),
    active      boolean NOT NULL DEFAULT true,
    canary      boolean NOT NULL DEFAULT false,
    version     integer NOT NULL DEFAULT 1 CHECK (version > 0),
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE dispatch.crew IS 'People with a vehicle and skills who take work orders';
CREATE INDEX crew_district ON dispatch.crew (district_id, name);
SELECT sluice.protect('dispatch.crew');

-- Which account belongs to which crew. One account, one crew.
CREATE TABLE dispatch.crew_member (
    account_id  uuid PRIMARY KEY,
    crew_id     uuid NOT NULL REFERENCES dispatch.crew,
    district_id uuid NOT NULL
);
COMMENT ON TABLE dispatch.crew_member IS 'Maps the subject of a token to a crew';
CREATE INDEX crew_member_crew ON dispatch.crew_member (crew_id);
SELECT sluice.protect('dispatch.crew_member');

-- What binds a crew now. Whoever wants a crew locks this row, and the lock is the look. Held by one claim at a time.
CREATE TABLE dispatch.crew_slot (
    crew_id          uuid PRIMARY KEY REFERENCES dispatch.crew,
    district_id      uuid NOT NULL,
    shift_id         uuid,
    -- An emergency that it was given, or any job that it has started.
    active_order     uuid,
    active_emergency boolean,
    active_severity  smallint,
    active_state     text,
    -- Unstarted routine orders in its list.
    listed           integer NOT NULL DEFAULT 0 CHECK (listed >= 0),
    -- An emergency took the crew: its list goes back to the queue, in batches and outside the lane.
    clear_list       boolean NOT NULL DEFAULT false,
    free_since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Emergencies in a row that it did not answer.
    unanswered       integer NOT NULL DEFAULT 0 CHECK (unanswered >= 0),
    CHECK ((active_order IS NULL) = (active_emergency IS NULL)),
    CHECK ((active_order IS NULL) = (active_severity IS NULL)),
    CHECK ((active_order IS NULL) = (active_state IS NULL))
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200,
        autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE dispatch.crew_slot IS 'On shift or not, and the job that binds the crew';
-- Those that a claim looks at besides the nearest free ones.
CREATE INDEX crew_slot_unanswered ON dispatch.crew_slot (district_id) WHERE unanswered > 0;
CREATE INDEX crew_slot_emergency ON dispatch.crew_slot (district_id) WHERE active_emergency;
SELECT sluice.protect('dispatch.crew_slot');

-- A crew's place of its own, last wins; apart from the slot, so that a position never waits for a claim.
CREATE TABLE dispatch.crew_position (
    crew_id     uuid PRIMARY KEY REFERENCES dispatch.crew,
    district_id uuid NOT NULL,
    lon         double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat         double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    location    geography(Point, 4326) NOT NULL
                    GENERATED ALWAYS AS (public.ST_SetSRID(public.ST_MakePoint(lon, lat), 4326)::public.geography) STORED,
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE dispatch.crew_position IS 'Where each crew was last';
-- The nearest crews of a district.
CREATE INDEX crew_position_location ON dispatch.crew_position USING gist (district_id, location);
SELECT sluice.protect('dispatch.crew_position');

-- A new crew can be claimed as soon as it starts a shift: its slot and a first position exist from the beginning.
CREATE FUNCTION dispatch.make_crew_slot() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $function$
BEGIN
    INSERT INTO dispatch.crew_slot (crew_id, district_id) VALUES (NEW.crew_id, NEW.district_id)
    ON CONFLICT (crew_id) DO NOTHING;
    INSERT INTO dispatch.crew_position (crew_id, district_id, lon, lat, observed_at)
    VALUES (NEW.crew_id, NEW.district_id, NEW.depot_lon, NEW.depot_lat, NEW.changed_at)
    ON CONFLICT (crew_id) DO NOTHING;
    RETURN NULL;
END
$function$;
CREATE TRIGGER crew_slot AFTER INSERT ON dispatch.crew
FOR EACH ROW EXECUTE FUNCTION dispatch.make_crew_slot();

CREATE TABLE dispatch.shift (
    shift_id    uuid PRIMARY KEY,
    crew_id     uuid NOT NULL REFERENCES dispatch.crew,
    district_id uuid NOT NULL,
    account_id  uuid NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    CHECK (ended_at >= started_at)
);
COMMENT ON TABLE dispatch.shift IS 'When each crew was at work';
CREATE UNIQUE INDEX shift_open ON dispatch.shift (crew_id) WHERE ended_at IS NULL;
SELECT sluice.protect('dispatch.shift');

-- A crew lent to another district. district_id is the borrower's; the crew's own district sees the loan too.
CREATE TABLE dispatch.crew_loan (
    loan_id                 uuid PRIMARY KEY,
    crew_id                 uuid NOT NULL REFERENCES dispatch.crew,
    district_id             uuid NOT NULL,
    responsible_district_id uuid NOT NULL,
    since                   timestamptz NOT NULL,
    until                   timestamptz NOT NULL,
    lent_by                 text NOT NULL,
    reason                  text CHECK (length(reason) <= 500),
    CHECK (until > since),
    CHECK (district_id <> responsible_district_id)
);
COMMENT ON TABLE dispatch.crew_loan IS 'Crews lent to another district for a time';
CREATE INDEX crew_loan_crew ON dispatch.crew_loan (crew_id, until);
SELECT sluice.protect('dispatch.crew_loan');

-- The clock of each phone against ours, to judge the times that it notes.
CREATE TABLE dispatch.phone_clock (
    crew_id     uuid NOT NULL REFERENCES dispatch.crew,
    device      text NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    district_id uuid NOT NULL,
    offset_ms   bigint NOT NULL,
    synced_at   timestamptz NOT NULL,
    PRIMARY KEY (crew_id, device)
);
COMMENT ON TABLE dispatch.phone_clock IS 'Server clock minus phone clock at the last sync of each phone';
SELECT sluice.protect('dispatch.phone_clock');

-- Work orders ---------------------------------------------------------------------------------------------------------

CREATE TABLE dispatch.work_order (
    order_id     uuid PRIMARY KEY,
    case_id      uuid NOT NULL REFERENCES dispatch.case_file,
    district_id  uuid NOT NULL,
    street_id    uuid,
    crew_id      uuid NOT NULL REFERENCES dispatch.crew,
    -- As it was called then: whoever may see the order need not see another district's crew.
    crew_name    text NOT NULL,
    emergency    boolean NOT NULL,
    severity     smallint NOT NULL CHECK (severity BETWEEN 1 AND 5),
    state        text NOT NULL CHECK (state IN ('planned', 'assigned', 'accepted', 'en_route', 'on_site', 'done',
                     'declined', 'withdrawn', 'silent')),
    assigned_at  timestamptz NOT NULL,
    accepted_at  timestamptz,
    en_route_at  timestamptz,
    on_site_at   timestamptz,
    done_at      timestamptz,
    released_at  timestamptz,
    -- The last step that the server made or accepted, by the server's clock.
    last_step_at timestamptz NOT NULL,
    assigned_by  text NOT NULL,
    reason_code  text NOT NULL,
    reason_zh    text NOT NULL,
    reason_en    text NOT NULL,
    notes        text CHECK (length(notes) <= 4000),
    canary       boolean NOT NULL DEFAULT false,
    version      integer NOT NULL CHECK (version > 0),
    CHECK ((state IN ('done', 'declined', 'withdrawn', 'silent')) = (released_at IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE dispatch.work_order IS 'One job for one crew';
CREATE INDEX work_order_case ON dispatch.work_order (case_id, assigned_at);
-- One crew at a time works on a case.
CREATE UNIQUE INDEX work_order_open_case ON dispatch.work_order (case_id) WHERE released_at IS NULL;
CREATE INDEX work_order_list ON dispatch.work_order (crew_id, assigned_at) WHERE released_at IS NULL;
CREATE INDEX work_order_recent ON dispatch.work_order (crew_id, order_id DESC);
CREATE INDEX work_order_district ON dispatch.work_order (district_id, order_id DESC);
CREATE INDEX work_order_unanswered ON dispatch.work_order (emergency, assigned_at) WHERE state = 'assigned';
SELECT sluice.protect('dispatch.work_order');

-- I5: no crew holds two orders whose active periods overlap. Open ended while the job binds the crew. Never partitioned:
-- the exclusion constraint is what proves it.
CREATE TABLE dispatch.crew_period (
    order_id    uuid PRIMARY KEY REFERENCES dispatch.work_order,
    crew_id     uuid NOT NULL REFERENCES dispatch.crew,
    district_id uuid NOT NULL,
    period      tstzrange NOT NULL,
    CONSTRAINT crew_period_alone EXCLUDE USING gist (crew_id WITH =, period WITH &&)
);
COMMENT ON TABLE dispatch.crew_period IS 'When each order bound its crew: from the claim of an emergency, else from the start';
SELECT sluice.protect('dispatch.crew_period');

-- Observations as phones sent them. Applied, or kept as late or contradicting; never dropped.
CREATE TABLE dispatch.order_step (
    step_id     uuid NOT NULL,
    order_id    uuid NOT NULL,
    crew_id     uuid NOT NULL,
    district_id uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('accept', 'decline', 'en_route', 'on_site', 'done', 'note')),
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    counted_at  timestamptz NOT NULL,
    counted     text NOT NULL CHECK (counted IN ('observed', 'received')),
    counted_reason text NOT NULL,
    offset_ms   bigint,
    based_on    integer NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('applied', 'late', 'contradicting')),
    outcome_code text NOT NULL,
    outcome_zh  text NOT NULL,
    outcome_en  text NOT NULL,
    note        text CHECK (length(note) <= 2000),
    photos      text[] NOT NULL DEFAULT '{}',
    lon         double precision,
    lat         double precision,
    account_id  uuid NOT NULL,
    PRIMARY KEY (crew_id, step_id)
);
COMMENT ON TABLE dispatch.order_step IS 'What crews observed, with both times, the one that counts, and what came of it';
CREATE INDEX order_step_order ON dispatch.order_step (order_id, received_at);
SELECT sluice.protect('dispatch.order_step');
SELECT sluice.make_append_only('dispatch.order_step');

CREATE TABLE dispatch.order_attachment (
    attachment_id uuid PRIMARY KEY,
    order_id      uuid NOT NULL,
    district_id   uuid NOT NULL,
    crew_id       uuid NOT NULL,
    sha256        text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    content_type  text NOT NULL,
    bytes         integer NOT NULL CHECK (bytes > 0),
    received_at   timestamptz NOT NULL,
    UNIQUE (order_id, sha256)
);
COMMENT ON TABLE dispatch.order_attachment IS 'Photos of the work, stored by content hash';
SELECT sluice.protect('dispatch.order_attachment');

-- Cases that wait for a crew. Worked by severity, then age; the row goes in the transaction that claims the crew.
CREATE TABLE dispatch.claim_queue (
    case_id     uuid PRIMARY KEY,
    district_id uuid NOT NULL,
    emergency   boolean NOT NULL,
    severity    smallint NOT NULL,
    verified    boolean NOT NULL,
    not_before  timestamptz NOT NULL,
    since       timestamptz NOT NULL,
    skills      text[] NOT NULL DEFAULT '{}',
    -- The skills, sorted and joined: few distinct values, so that a crew without one never walks over its rows.
    skill_key   text NOT NULL,
    excluded    uuid[] NOT NULL DEFAULT '{}',
    lon         double precision NOT NULL,
    lat         double precision NOT NULL,
    canary      boolean NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE dispatch.claim_queue IS 'Cases that wait for a crew';
CREATE INDEX claim_queue_emergency ON dispatch.claim_queue (verified DESC, severity DESC, since, case_id)
    WHERE emergency;
CREATE INDEX claim_queue_routine
    ON dispatch.claim_queue (district_id, skill_key, severity DESC, since, case_id) WHERE NOT emergency;
CREATE INDEX claim_queue_canary ON dispatch.claim_queue (since) WHERE canary;
SELECT sluice.protect('dispatch.claim_queue');

-- Why -----------------------------------------------------------------------------------------------------------------

-- Each automatic decision, and each act of a dispatcher: what, why, from which inputs, by which version of the rule.
CREATE TABLE dispatch.decision (
    decision_id  uuid NOT NULL,
    district_id  uuid NOT NULL,
    case_id      uuid NOT NULL,
    order_id     uuid,
    report_id    uuid,
    kind         text NOT NULL CHECK (kind IN ('triage', 'claim', 'clock', 'overdue', 'silence', 'displacement',
                     'observation', 'act')),
    what         text NOT NULL,
    reason_code  text NOT NULL,
    reason_zh    text NOT NULL,
    reason_en    text NOT NULL,
    inputs       jsonb NOT NULL,
    rule_version integer NOT NULL,
    actor        text NOT NULL,
    decided_at   timestamptz NOT NULL,
    PRIMARY KEY (decision_id)
) PARTITION BY RANGE (decision_id);
COMMENT ON TABLE dispatch.decision IS 'What was decided about a case, and why';
CREATE INDEX decision_case ON dispatch.decision (case_id, decided_at);
SELECT sluice.ensure_month_partitions('dispatch.decision');
SELECT sluice.protect('dispatch.decision');
SELECT sluice.make_append_only('dispatch.decision');

-- What the console must show, for an hour. Rows get their number after they have committed, so that no reader can pass
-- over one that commits late.
CREATE TABLE dispatch.live_event (
    id          uuid PRIMARY KEY,
    seq         bigint,
    district_id uuid NOT NULL,
    responsible_district_id uuid NOT NULL,
    at          timestamptz NOT NULL,
    kind        text NOT NULL,
    -- Null: the body of the history row with this id.
    body        jsonb
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE dispatch.live_event IS 'The live stream of the last hour';
CREATE INDEX live_event_unnumbered ON dispatch.live_event (id) WHERE seq IS NULL;
CREATE UNIQUE INDEX live_event_seq ON dispatch.live_event (seq) WHERE seq IS NOT NULL;
SELECT sluice.protect('dispatch.live_event');
CREATE SEQUENCE dispatch.live_event_number AS bigint CACHE 1;

-- Each instance's last reading of the emergency lane; readers take the worst of those younger than 2 s.
CREATE TABLE dispatch.lane_signal (
    instance    text PRIMARY KEY CHECK (length(instance) <= 120),
    pressure    double precision NOT NULL CHECK (pressure BETWEEN 0 AND 1),
    worst_ms    double precision NOT NULL,
    oldest_ms   double precision NOT NULL,
    -- The canary's last round here; null if none came lately.
    canary_ms   double precision,
    measured_at timestamptz NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE dispatch.lane_signal IS 'How hard the emergency lane is pressed, as each instance saw it';

-- Functions -----------------------------------------------------------------------------------------------------------

-- A decision writes the version after the one it looked at. If the row has moved on, the statement that calls this says
-- so as a conflict between neighbours (23505 on a constraint of its own name), and the caller looks and decides again.
CREATE FUNCTION dispatch.expect_rows(written bigint, wanted bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
BEGIN
    IF written <> wanted THEN
        RAISE EXCEPTION 'a row has changed since it was looked at'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'dispatch_version';
    END IF;
    RETURN written;
END
$function$;

-- Who calls, and what the crew may see: its home district, districts that it is lent to, and those of its open orders.
-- A narrow look past the scope: it has to be known before a scope can be set.
CREATE FUNCTION dispatch.crew_scope(account uuid) RETURNS TABLE (crew_id uuid, home uuid, districts uuid[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    -- Given back before it returns; an error ends the transaction and the setting with it.
    scope CONSTANT text := coalesce(current_setting('sluice.districts', true), '');
BEGIN
    PERFORM set_config('sluice.districts', '*', true);
    RETURN QUERY
    SELECT m.crew_id, m.district_id,
           ARRAY (
               SELECT m.district_id
               UNION
               SELECT l.district_id FROM dispatch.crew_loan l
               WHERE l.crew_id = m.crew_id AND clock_timestamp() BETWEEN l.since AND l.until
               UNION
               SELECT o.district_id FROM dispatch.work_order o WHERE o.crew_id = m.crew_id AND o.released_at IS NULL)
    FROM dispatch.crew_member m
    WHERE m.account_id = account;
    PERFORM set_config('sluice.districts', scope, true);
END
$function$;

-- Deletes what the canary's rounds made before that time.
CREATE FUNCTION dispatch.purge_canaries(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    -- Given back before it returns; an error ends the transaction and the setting with it.
    scope CONSTANT text := coalesce(current_setting('sluice.districts', true), '');
    cases uuid[];
    orders uuid[];
BEGIN
    PERFORM set_config('sluice.districts', sluice.canary()::text, true);
    cases := ARRAY (SELECT case_id FROM dispatch.case_file WHERE canary AND opened_at < before);
    orders := ARRAY (SELECT order_id FROM dispatch.work_order WHERE case_id = ANY (cases));
    DELETE FROM dispatch.claim_queue WHERE canary AND since < before;
    -- Only if nobody finished a round: its crew must not be bound by an order that is gone.
    UPDATE dispatch.crew_slot
    SET active_order = NULL, active_emergency = NULL, active_severity = NULL, active_state = NULL,
        free_since = clock_timestamp()
    WHERE district_id = sluice.canary() AND active_order = ANY (orders);
    DELETE FROM dispatch.crew_period WHERE order_id = ANY (orders);
    DELETE FROM dispatch.work_order WHERE order_id = ANY (orders);
    DELETE FROM dispatch.due WHERE case_id = ANY (cases);
    DELETE FROM dispatch.overdue_mark WHERE case_id = ANY (cases);
    DELETE FROM dispatch.report_state WHERE case_id = ANY (cases);
    DELETE FROM dispatch.decision WHERE case_id = ANY (cases);
    DELETE FROM dispatch.case_file WHERE case_id = ANY (cases);
    DELETE FROM dispatch.inbox i
    WHERE i.event_id = ANY (ARRAY (
        SELECT id FROM intake.history WHERE canary AND id < sluice.uuid_v7_floor(before)
        UNION ALL
        SELECT id FROM notification.history WHERE canary AND id < sluice.uuid_v7_floor(before)));
    PERFORM dispatch.purge_canary_events(before);
    PERFORM set_config('sluice.districts', scope, true);
    RETURN cardinality(cases);
END
$function$;

-- The report that a dead letter speaks of; null if its body cannot be read.
CREATE FUNCTION dispatch.api_dead_report(body bytea) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS $function$
BEGIN
    RETURN (convert_from(body, 'UTF8')::jsonb ->> 'aggregateid')::uuid;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$function$;

-- Views that others read (CONTRACTS.md §5) ----------------------------------------------------------------------------

CREATE VIEW dispatch.api_category AS
SELECT code, version, active, kind, category_group, name_zh, name_en, severity, emergency_words, emergency_places,
       always_emergency, merge_radius_m, merge_window_min, skills, respond_min, arrive_min, resolve_min,
       storm_respond_min, storm_arrive_min, storm_resolve_min, position, storm_from
FROM dispatch.category;

CREATE VIEW dispatch.api_report_state AS
SELECT report_id, district_id, outcome, case_id, reason, decided_at
FROM dispatch.report_state
UNION ALL
SELECT d.report_id, d.district_id, 'dead', NULL, d.reason, d.dead_at
FROM (
    SELECT dispatch.api_dead_report(l.body) AS report_id, l.district_id, l.reason, l.dead_at
    FROM dispatch.dead_letter l
    WHERE l.type = 'report.received.v1'
) d
WHERE d.report_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM dispatch.report_state s WHERE s.report_id = d.report_id);

CREATE VIEW dispatch.api_case AS
SELECT case_id, number, district_id, responsible_district_id, street_id, grid_id, community_id, category, kind,
       emergency, severity, state, lon, lat, opened_at, respond_due, arrive_due, resolve_due, responded_at, arrived_at,
       resolved_at, closed_at, merged_into, version, report_count, verified, category_version, canary
FROM dispatch.case_file;

CREATE VIEW dispatch.api_order AS
SELECT order_id, case_id, district_id, crew_id, crew_name, state, assigned_at, accepted_at, en_route_at, on_site_at,
       done_at, released_at, emergency, street_id, version, canary
FROM dispatch.work_order;

-- Facts fit for the public: no names, no reasons.
CREATE VIEW dispatch.api_case_timeline AS
SELECT c.case_id, c.district_id, c.opened_at AS at, 'filed'::text AS fact, NULL::uuid AS crew_id
FROM dispatch.case_file c
UNION ALL
SELECT h.aggregate_id, h.district_id, h.occurred_at,
       CASE h.type WHEN 'case.merged.v1' THEN 'merged' WHEN 'case.closed.v1' THEN h.body ->> 'state' ELSE 'reopened' END,
       NULL
FROM dispatch.history h
WHERE h.aggregate = 'case'
  AND (h.type IN ('case.merged.v1', 'case.closed.v1')
       OR (h.type = 'case.changed.v1' AND h.body ->> 'state' = 'reopened'))
UNION ALL
SELECT o.case_id, o.district_id, f.at, f.fact, o.crew_id
FROM dispatch.work_order o
CROSS JOIN LATERAL (VALUES
    (o.assigned_at, 'dispatched'), (o.en_route_at, 'en_route'), (o.on_site_at, 'on_site'), (o.done_at, 'done')
) f (at, fact)
WHERE f.at IS NOT NULL;

CREATE VIEW dispatch.api_lane_signal AS
SELECT instance, pressure, measured_at, worst_ms, oldest_ms, canary_ms FROM dispatch.lane_signal;

-- Sentinels: rows of the city that every reader must see; none is a category that can be chosen or a case of anybody.
INSERT INTO dispatch.category (
    code, active, kind, category_group, name_zh, name_en, severity, merge_radius_m, merge_window_min, respond_min,
    arrive_min, resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min)
VALUES ('sentinel', false, 'reading', 'sentinel', '哨兵', 'Sentinel', 1, 1, 1, 1, 1, 1, 1, 1, 1);
INSERT INTO dispatch.case_file (
    case_id, district_id, responsible_district_id, kind, category, category_version, category_group, emergency, verified,
    severity, state, lon, lat, cell, opened_at, last_report_at, closed_at, report_count, reason_code, reason_zh,
    reason_en, version)
VALUES (
    '00000000-0000-7000-8000-000000000020', sluice.city(), sluice.city(), 'reading', 'sentinel', 1, 'sentinel', false,
    true, 1, 'rejected', 0, 0, 0, 'epoch', 'epoch', 'epoch', 0, 'sentinel', '', '', 1);
INSERT INTO dispatch.report_state (
    report_id, district_id, outcome, reason, category, kind, channel, emergency, verified, severity, lon, lat,
    observed_at, received_at, decided_at)
VALUES (
    '00000000-0000-7000-8000-000000000021', sluice.city(), 'rejected', 'sentinel', 'sentinel', 'reading', 'system',
    false, true, 1, 0, 0, 'epoch', 'epoch', 'epoch');
INSERT INTO dispatch.crew (crew_id, district_id, name, depot_lon, depot_lat, active)
VALUES ('00000000-0000-7000-8000-000000000022', sluice.city(), 'sentinel', 0, 0, false);
INSERT INTO dispatch.work_order (
    order_id, case_id, district_id, crew_id, crew_name, emergency, severity, state, assigned_at, released_at,
    last_step_at, assigned_by, reason_code, reason_zh, reason_en, version)
VALUES (
    '00000000-0000-7000-8000-000000000023', '00000000-0000-7000-8000-000000000020', sluice.city(),
    '00000000-0000-7000-8000-000000000022', 'sentinel', false, 1, 'withdrawn', 'epoch', 'epoch', 'epoch', 'system',
    'sentinel', '', '', 1);
INSERT INTO dispatch.lane_signal (instance, pressure, worst_ms, oldest_ms, measured_at)
VALUES ('sentinel', 0, 0, 0, 'epoch');
INSERT INTO sluice.sentinel (view_name, key_column, key_value) VALUES
    ('dispatch.api_category', 'code', 'sentinel'),
    ('dispatch.api_report_state', 'report_id', '00000000-0000-7000-8000-000000000021'),
    ('dispatch.api_case', 'case_id', '00000000-0000-7000-8000-000000000020'),
    ('dispatch.api_case_timeline', 'case_id', '00000000-0000-7000-8000-000000000020'),
    ('dispatch.api_order', 'order_id', '00000000-0000-7000-8000-000000000023'),
    ('dispatch.api_lane_signal', 'instance', 'sentinel');

-- The canary's category and its crew, which is always on shift. Nobody can choose the one or see the other.
INSERT INTO dispatch.category (
    code, active, kind, category_group, name_zh, name_en, severity, always_emergency, merge_radius_m, merge_window_min,
    respond_min, arrive_min, resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min)
VALUES ('canary', false, 'hazard', 'canary', '金丝雀', 'Canary', 1, true, 1, 1, 60, 60, 60, 60, 60, 60);
SELECT set_config('sluice.districts', sluice.canary()::text, true);
INSERT INTO dispatch.crew (crew_id, district_id, name, depot_lon, depot_lat, list_limit, canary)
VALUES ('00000000-0000-7000-8000-0000000000cb', sluice.canary(), 'canary', 0, 0, 1, true);
UPDATE dispatch.crew_slot SET shift_id = crew_id WHERE crew_id = '00000000-0000-7000-8000-0000000000cb';

SELECT sluice.grant_service('dispatch');
