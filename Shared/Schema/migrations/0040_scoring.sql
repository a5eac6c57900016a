-- scoring: the evidence ledger, what it says of each case, the standards that judge it.

CREATE SCHEMA scoring;
SELECT sluice.create_messaging('scoring');
SELECT sluice.create_idempotency('scoring');

-- Every event of the other services once, in any order: the facts on which figures rest (佐证). The key is the event's
-- id, which is the id of its history row, so that a rebuild from the histories equals the live ledger.
CREATE TABLE scoring.evidence (
    event_id     uuid NOT NULL,
    fact         text NOT NULL,
    source       text NOT NULL,
    aggregate_id uuid NOT NULL,
    version      bigint NOT NULL,
    district_id  uuid NOT NULL,
    street_id    uuid,
    community_id uuid,
    at           timestamptz NOT NULL,
    value        double precision NOT NULL DEFAULT 1,
    body         jsonb NOT NULL,
    PRIMARY KEY (event_id, fact)
) PARTITION BY RANGE (event_id);
COMMENT ON TABLE scoring.evidence IS 'Facts with their source, each once; rebuildable from the services'' histories';
CREATE INDEX evidence_aggregate ON scoring.evidence (aggregate_id, version);
CREATE INDEX evidence_district ON scoring.evidence (district_id, event_id);
SELECT sluice.ensure_month_partitions('scoring.evidence');
SELECT sluice.protect('scoring.evidence', 'facts');
SELECT sluice.make_append_only('scoring.evidence');

-- The latest that the ledger knows of each case, and what the rule of timely handling says of it. `pending` becomes
-- late by itself at late_at: readers compare with their own time.
CREATE TABLE scoring.case_fact (
    case_id      uuid PRIMARY KEY,
    version      bigint NOT NULL,
    district_id  uuid NOT NULL,
    responsible_district_id uuid NOT NULL,
    street_id    uuid,
    grid_id      uuid,
    community_id uuid,
    kind         text NOT NULL,
    category     text NOT NULL,
    emergency    boolean NOT NULL,
    state        text NOT NULL,
    opened_at    timestamptz NOT NULL,
    respond_due  timestamptz,
    resolve_due  timestamptz,
    responded_at timestamptz,
    resolved_at  timestamptz,
    closed_at    timestamptz,
    verdict      text NOT NULL CHECK (verdict IN ('in_time', 'late', 'pending', 'excluded')),
    verdict_code text NOT NULL,
    late_at      timestamptz,
    rule_version integer NOT NULL,
    event_id     uuid NOT NULL
);
COMMENT ON TABLE scoring.case_fact IS 'Each case as last heard of, with the verdict of timely handling (Table 1, row 7)';
CREATE INDEX case_fact_month ON scoring.case_fact (district_id, opened_at, case_id);
CREATE INDEX case_fact_street ON scoring.case_fact (street_id, opened_at, case_id);
CREATE INDEX case_fact_community ON scoring.case_fact (community_id, opened_at, case_id);
SELECT sluice.protect('scoring.case_fact', 'facts');

-- Where the rebuild writes: the same tables, emptied first.
CREATE UNLOGGED TABLE scoring.rebuilt_evidence (LIKE scoring.evidence INCLUDING DEFAULTS, PRIMARY KEY (event_id, fact));
CREATE UNLOGGED TABLE scoring.rebuilt_case_fact (LIKE scoring.case_fact INCLUDING DEFAULTS, PRIMARY KEY (case_id));
SELECT sluice.protect('scoring.rebuilt_evidence', 'facts');
SELECT sluice.protect('scoring.rebuilt_case_fact', 'facts');

-- Up to which transaction each service's history has been read. The one mark that is allowed: below
-- pg_snapshot_xmin() no row can appear any more.
CREATE TABLE scoring.history_mark (
    source text PRIMARY KEY,
    tx     xid8 NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE scoring.history_mark IS 'How far each history has been read for catching up';

-- Standard versions (评价标准): bands and validity. Bands are closed below: a ratio of exactly `from` earns the points.
CREATE TABLE scoring.standard_version (
    standard_version_id uuid PRIMARY KEY DEFAULT sluice.uuid_v7(clock_timestamp()),
    name        text NOT NULL UNIQUE,
    valid       daterange NOT NULL CHECK (NOT isempty(valid)),
    indicator_7 jsonb NOT NULL,
    EXCLUDE USING gist (valid WITH &&)
);
COMMENT ON TABLE scoring.standard_version IS 'Indicator definitions and bands with the period in which they hold';
INSERT INTO scoring.standard_version (name, valid, indicator_7)
VALUES ('2019-1', daterange('2019-11-01', NULL),
        '{"bands": [{"from": 0.9, "points": 1.0}, {"from": 0.8, "points": 0.8}, {"from": 0.0, "points": 0.5}],
          "kinds": null}');

CREATE VIEW scoring.api_evidence AS
SELECT event_id, fact, source, aggregate_id, version, district_id, street_id, community_id, at, value, body
FROM scoring.evidence;

SET LOCAL sluice.districts = '*';
INSERT INTO scoring.evidence (event_id, fact, source, aggregate_id, version, district_id, at, body)
VALUES (sluice.city(), 'sentinel', 'scoring', sluice.city(), 1, sluice.city(), 'epoch', '{}');
INSERT INTO sluice.sentinel (view_name, key_column, key_value)
VALUES ('scoring.api_evidence', 'event_id', sluice.city()::text);

SELECT sluice.grant_service('scoring');
