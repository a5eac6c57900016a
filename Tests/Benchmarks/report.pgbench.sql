-- One routine report from acceptance to notice as a careful service would write it: the tables, keys, locks and rows of
-- Sluice, one statement a round trip, one transaction for each of the services' transactions. Variables from outside:
-- :district, :street, :office (of the sample city), :body (JSON of a usual event's size), :answer, :crews.
-- Left out, so that the comparison is never in our favour: the relays' own statements, the broker, scoring's ledger.
\set n random(1, 9000000000000000)
\set crew random(1, :crews)
\set lon random(113961000, 114139000)
\set lat random(22521000, 22579000)
\set cell :lon / 2500 * 100000 + :lat / 2500

-- intake
BEGIN;
SELECT set_config('sluice.districts', :district, true);
INSERT INTO intake.idempotency (key_hash, fingerprint, status, answer) VALUES (sha256((:n)::text::bytea), sha256((:n)::text::bytea), 201, decode(:answer, 'hex'));
INSERT INTO intake.report (district_id, street_id, kind, category, category_version, channel, emergency, severity, person_at_risk, verified, verdict, lon, lat, description, language, observed_at, received_at, rule_version, rule_code, rule_reason_zh, rule_reason_en, rule_inputs) VALUES ((:district)::uuid, (:street)::uuid, 'request', 'bench_routine', 1, 'phone', false, 2, false, true, 'routine', (:lon)::float8 / 1000000, (:lat)::float8 / 1000000, 'benchmark', 'en', clock_timestamp(), clock_timestamp(), 1, 'routine', '没有应急的依据：按常规处理。', 'Nothing in the category, the words or the place makes it an emergency.', '{"category": "bench_routine", "personAtRisk": false, "placeVersion": 1, "categoryVersion": 1, "categorySeverity": 2}') RETURNING report_id \gset
INSERT INTO intake.tracking (code_hash, report_id, report_district) VALUES (sha256(('c' || :n)::bytea), (:report_id)::uuid, (:district)::uuid);
INSERT INTO intake.history (id, aggregate, aggregate_id, version, type, district_id, lane, actor, occurred_at, observed_at, received_at, body) VALUES (sluice.uuid_v7(clock_timestamp()), 'report', (:report_id)::uuid, 1, 'report.received.v1', (:district)::uuid, 'r', 'bench', clock_timestamp(), clock_timestamp(), clock_timestamp(), (:body)::jsonb) RETURNING id AS received \gset
INSERT INTO intake.outbox (slot, id, district_id) VALUES (7, (:received)::uuid, (:district)::uuid);
COMMIT;

-- dispatch: triage
BEGIN;
INSERT INTO dispatch.inbox (consumer, source, event_id) VALUES ('bench', 'intake', (:received)::uuid);
SELECT pg_advisory_xact_lock((:cell)::bigint);
SELECT report_id FROM dispatch.report_state WHERE report_id = (:report_id)::uuid;
SELECT level FROM dispatch.storm_level WHERE district_id = (:district)::uuid;
SELECT * FROM dispatch.case_file WHERE category_group = 'bench_routine' AND cell = (:cell)::bigint AND closed_at IS NULL AND lon BETWEEN (:lon)::float8 / 1000000 - 0.00001 AND (:lon)::float8 / 1000000 + 0.00001 AND lat BETWEEN (:lat)::float8 / 1000000 - 0.00001 AND (:lat)::float8 / 1000000 + 0.00001 ORDER BY last_report_at DESC LIMIT 40;
INSERT INTO dispatch.case_file (case_id, district_id, responsible_district_id, street_id, kind, category, category_version, category_group, emergency, verified, severity, state, lon, lat, cell, opened_at, last_report_at, report_count, reason_code, reason_zh, reason_en, version) VALUES (sluice.uuid_v7(clock_timestamp()), (:district)::uuid, (:district)::uuid, (:street)::uuid, 'request', 'bench_routine', 1, 'bench_routine', false, true, 2, 'filed', (:lon)::float8 / 1000000, (:lat)::float8 / 1000000, (:cell)::bigint, clock_timestamp(), clock_timestamp(), 1, 'new_problem', '附近没有相同的问题。', 'No open case nearby is the same problem.', 1) RETURNING case_id \gset
INSERT INTO dispatch.claim_queue (case_id, district_id, emergency, severity, verified, not_before, since, skill_key, lon, lat) VALUES ((:case_id)::uuid, (:district)::uuid, false, 2, true, clock_timestamp(), clock_timestamp(), '', (:lon)::float8 / 1000000, (:lat)::float8 / 1000000);
INSERT INTO dispatch.due (case_id, district_id, clock, due_at) VALUES ((:case_id)::uuid, (:district)::uuid, 'respond', clock_timestamp() + interval '1 year');
INSERT INTO dispatch.report_state (report_id, district_id, outcome, case_id, filed_case_id, reason, category, kind, channel, emergency, verified, severity, lon, lat, observed_at, received_at, decided_at) VALUES ((:report_id)::uuid, (:district)::uuid, 'case', (:case_id)::uuid, (:case_id)::uuid, 'new_problem', 'bench_routine', 'request', 'phone', false, true, 2, (:lon)::float8 / 1000000, (:lat)::float8 / 1000000, clock_timestamp(), clock_timestamp(), clock_timestamp());
INSERT INTO dispatch.decision (decision_id, district_id, case_id, report_id, kind, what, reason_code, reason_zh, reason_en, inputs, rule_version, actor, decided_at) VALUES (sluice.uuid_v7(clock_timestamp()), (:district)::uuid, (:case_id)::uuid, (:report_id)::uuid, 'triage', 'opened', 'new_problem', '附近没有相同的问题。', 'No open case nearby is the same problem.', '{"category": "bench_routine", "radius_m": 1, "window_min": 1}', 1, 'rule.triage', clock_timestamp());
INSERT INTO dispatch.history (id, aggregate, aggregate_id, version, type, district_id, lane, actor, occurred_at, body) VALUES (sluice.uuid_v7(clock_timestamp()), 'case', (:case_id)::uuid, 1, 'case.opened.v1', (:district)::uuid, 'r', 'rule.triage', clock_timestamp(), (:body)::jsonb) RETURNING id AS opened \gset
INSERT INTO dispatch.outbox (slot, id, district_id) VALUES (7, (:opened)::uuid, (:district)::uuid);
INSERT INTO dispatch.live_event (id, district_id, responsible_district_id, at, kind) VALUES ((:opened)::uuid, (:district)::uuid, (:district)::uuid, clock_timestamp(), 'case.opened.v1');
COMMIT;

-- dispatch: a crew
BEGIN;
SELECT * FROM dispatch.claim_queue WHERE case_id = (:case_id)::uuid FOR UPDATE SKIP LOCKED;
SELECT crew_id FROM bench.crew WHERE n = :crew \gset
SELECT * FROM dispatch.crew_slot WHERE crew_id = (:crew_id)::uuid FOR UPDATE;
SELECT * FROM dispatch.case_file WHERE case_id = (:case_id)::uuid FOR UPDATE;
INSERT INTO dispatch.work_order (order_id, case_id, district_id, street_id, crew_id, crew_name, emergency, severity, state, assigned_at, last_step_at, assigned_by, reason_code, reason_zh, reason_en, version) VALUES (sluice.uuid_v7(clock_timestamp()), (:case_id)::uuid, (:district)::uuid, (:street)::uuid, (:crew_id)::uuid, 'bench', false, 2, 'assigned', clock_timestamp(), clock_timestamp(), 'rule.claim', 'nearest_free_crew', '最近的空闲班组。', 'The nearest free crew.', 1) RETURNING order_id \gset
UPDATE dispatch.case_file SET state = 'dispatched', crew_id = (:crew_id)::uuid, order_id = (:order_id)::uuid, version = 2, changed_at = clock_timestamp() WHERE case_id = (:case_id)::uuid AND version = 1;
DELETE FROM dispatch.claim_queue WHERE case_id = (:case_id)::uuid;
UPDATE dispatch.crew_slot SET listed = listed + 1 WHERE crew_id = (:crew_id)::uuid;
INSERT INTO dispatch.decision (decision_id, district_id, case_id, order_id, kind, what, reason_code, reason_zh, reason_en, inputs, rule_version, actor, decided_at) VALUES (sluice.uuid_v7(clock_timestamp()), (:district)::uuid, (:case_id)::uuid, (:order_id)::uuid, 'claim', 'listed', 'nearest_free_crew', '最近的空闲班组。', 'The nearest free crew.', '{"severity": 2, "verified": true, "skills": [], "distance_m": 300}', 1, 'rule.claim', clock_timestamp());
INSERT INTO dispatch.history (id, aggregate, aggregate_id, version, type, district_id, lane, actor, occurred_at, body) VALUES (sluice.uuid_v7(clock_timestamp()), 'case', (:case_id)::uuid, 2, 'case.changed.v1', (:district)::uuid, 'r', 'rule.claim', clock_timestamp(), (:body)::jsonb) RETURNING id AS changed \gset
INSERT INTO dispatch.history (id, aggregate, aggregate_id, version, type, district_id, lane, actor, occurred_at, body) VALUES (sluice.uuid_v7(clock_timestamp()), 'order', (:order_id)::uuid, 1, 'order.assigned.v1', (:district)::uuid, 'r', 'rule.claim', clock_timestamp(), (:body)::jsonb) RETURNING id AS assigned \gset
INSERT INTO dispatch.outbox (slot, id, district_id) VALUES (7, (:changed)::uuid, (:district)::uuid), (7, (:assigned)::uuid, (:district)::uuid);
INSERT INTO dispatch.live_event (id, district_id, responsible_district_id, at, kind) VALUES ((:changed)::uuid, (:district)::uuid, (:district)::uuid, clock_timestamp(), 'case.changed.v1'), ((:assigned)::uuid, (:district)::uuid, (:district)::uuid, clock_timestamp(), 'order.assigned.v1');
COMMIT;

-- notification: the case is new
BEGIN;
INSERT INTO notification.inbox (consumer, source, event_id) VALUES ('bench', 'dispatch', (:opened)::uuid);
SELECT pg_advisory_xact_lock((:n)::bigint);
SELECT snapshot FROM notification.case_held WHERE case_id = (:case_id)::uuid;
SELECT r.recipient_id FROM notification.recipient r WHERE r.office_id = (:office)::uuid AND r.active;
INSERT INTO notification.notice (case_id, district_id, street_id, office_id, emergency, purpose, round, state, case_opened_at, delivered_at, reason) VALUES ((:case_id)::uuid, (:district)::uuid, (:street)::uuid, (:office)::uuid, false, 'routine', 1, 'delivered', clock_timestamp(), clock_timestamp(), 'opened');
INSERT INTO notification.case_held (case_id, version, district_id, snapshot) VALUES ((:case_id)::uuid, 1, (:district)::uuid, (:body)::jsonb);
COMMIT;

-- notification: the case has a crew
BEGIN;
INSERT INTO notification.inbox (consumer, source, event_id) VALUES ('bench', 'dispatch', (:changed)::uuid), ('bench', 'dispatch', (:assigned)::uuid);
SELECT pg_advisory_xact_lock((:n)::bigint);
SELECT snapshot FROM notification.case_held WHERE case_id = (:case_id)::uuid;
UPDATE notification.case_held SET version = 2, snapshot = (:body)::jsonb WHERE case_id = (:case_id)::uuid;
COMMIT;
