/// The rows of `BigCity`. The i-th of a kind lies in district i % 10, street i % 100 and community i % 1000; things with
/// a time are twenty minutes apart, so that they span nine months.
enum BigCitySeed {
    static let scripts = [foundation, intake, dispatch, gis, notification, scoring]

    /// As superuser, past every policy and trigger.
    private static let begin = """
        SET session_replication_role = replica;
        CREATE SCHEMA IF NOT EXISTS seed;
        """

    private static let foundation =
        begin + """
            -- Without a time: d1 is 0000000d-0000-7000-8000-000000000001.
            CREATE FUNCTION seed.fixed(kind text, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
                SELECT ('0000000' || kind || '-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid
            $$;
            CREATE FUNCTION seed.at(i bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
                SELECT date_trunc('hour', now()) - (20000 - i) * interval '20 minutes'
            $$;
            -- Version 7, of the i-th time. One expression, so that it becomes part of each statement: called a million times,
            -- a function would take half a minute.
            CREATE FUNCTION seed.id(kind text, i bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
                SELECT (lpad(to_hex((extract(epoch FROM seed.at(i)) * 1000)::bigint), 12, '0') || '7'
                        || left(md5(kind || i), 3) || '8' || right(md5(kind || i), 15))::uuid
            $$;
            CREATE FUNCTION seed.messages(schema text, aggregate text, type text) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                EXECUTE format($sql$
                    INSERT INTO %1$I.history (
                        id, aggregate, aggregate_id, version, type, district_id, lane, actor, occurred_at, body)
                    SELECT seed.id('%1$s event', i), %2$L, seed.id(%2$L, i), 1, %3$L, seed.fixed('d', i %% 10), 'r', 'system',
                           seed.at(i), '{"state": "filed"}'
                    FROM generate_series(1, 20000) i;
                    INSERT INTO %1$I.outbox (slot, id, district_id, attempt, lease_until)
                    SELECT 0, seed.id('%1$s event', i), seed.fixed('d', i %% 10), (i %% 20 = 0)::int,
                           CASE WHEN i %% 20 = 0 THEN now() + interval '1 minute' END
                    FROM generate_series(1, 20000) i;
                    INSERT INTO %1$I.emergency_outbox (id, district_id, type, consumers, body, attempt, confirmed_at)
                    SELECT seed.id('%1$s emergency', i), seed.fixed('d', i %% 10), %3$L, '{dispatch.emergency}', '{}', 1, now()
                    FROM generate_series(19901, 20000) i;
                    INSERT INTO %1$I.inbox (consumer, source, event_id, received_at)
                    SELECT '%1$s.routine', 'intake', seed.id('intake event', i), seed.at(i)
                    FROM generate_series(1, 20000) i;
                    INSERT INTO %1$I.retry (consumer, source, event_id, type, body, next_at, failure)
                    SELECT '%1$s.routine', 'intake', seed.id('parked', i), %3$L, '{}', now() + interval '1 hour', 'seed'
                    FROM generate_series(1, 5000) i;
                    INSERT INTO %1$I.dead_letter (consumer, source, event_id, type, body, reason, version)
                    SELECT '%1$s.routine', 'intake', seed.id('dead', i), 'case.opened.v1', '{}', 'seed', '1'
                    FROM generate_series(1, 2000) i;
                    INSERT INTO %1$I.idempotency (key_hash, fingerprint, status, answer, created_at)
                    SELECT sha256(('%1$s' || i)::bytea), sha256('x'), 200, '', now() - i * interval '20 seconds'
                    FROM generate_series(1, 20000) i;
                    $sql$, schema, aggregate, type);
            END
            $$;
            """

    private static let intake =
        begin + """
            SELECT seed.messages('intake', 'report', 'report.received.v1');
            INSERT INTO intake.report (
                report_id, district_id, street_id, grid_id, community_id, kind, category, category_version, channel, emergency,
                severity, verdict, lon, lat, description, language, observed_at, received_at, rule_version, rule_code,
                rule_reason_zh, rule_reason_en, rule_inputs)
            SELECT seed.id('report', i), seed.fixed('d', i % 10), seed.fixed('5', i % 100), seed.fixed('6', i % 200),
                   seed.fixed('c', i % 1000), 'hazard', 'flooding', 1, 'web', false, 3, 'routine', 114 + (i % 200) * 0.001,
                   22.5 + (i / 200) * 0.001, 'seed', 'zh', seed.at(i), seed.at(i), 1, 'seed', '', '', '{}'
            FROM generate_series(1, 20000) i;
            INSERT INTO intake.tracking (code_hash, report_id, report_district)
            SELECT sha256(i::text::bytea), seed.id('report', i), seed.fixed('d', i % 10) FROM generate_series(1, 20000) i;
            INSERT INTO intake.person (person_id, district_id, wrapped_key, lookup_hash)
            SELECT seed.id('person', i), seed.fixed('d', i % 10), '', sha256(i::text::bytea) FROM generate_series(1, 20000) i;
            INSERT INTO intake.contact (report_id, district_id, person_id, sealed)
            SELECT seed.id('report', i), seed.fixed('d', i % 10), seed.id('person', i), '' FROM generate_series(1, 20000) i;
            INSERT INTO intake.contact_look (look_id, report_id, district_id, person_id, account_id, purpose, at)
            SELECT seed.id('look', i), seed.id('report', i), seed.fixed('d', i % 10), seed.id('person', i),
                   seed.fixed('a', i % 2000), 'seeded', seed.at(i)
            FROM generate_series(1, 20000) i;
            INSERT INTO intake.blob (sha256, content_type, bytes, width, height)
            SELECT encode(sha256(i::text::bytea), 'hex'), 'image/jpeg', 1, 1, 1 FROM generate_series(1, 20000) i;
            INSERT INTO intake.attachment (
                attachment_id, report_id, district_id, ordinal, source_sha256, source_type, source_bytes, sha256,
                thumbnail_sha256)
            SELECT seed.id('photo', i), seed.id('report', i), seed.fixed('d', i % 10), 1, h, 'image/jpeg', 1, h, h
            FROM generate_series(1, 20000) i, LATERAL (SELECT encode(sha256(i::text::bytea), 'hex')) s (h);
            INSERT INTO intake.account (account_id, login, display_name, roles, districts, external_id)
            SELECT seed.fixed('a', i), 'account' || i, 'Account', '{crew}', ARRAY [seed.fixed('d', i % 10)], 'issuer ' || i
            FROM generate_series(1, 2000) i;
            INSERT INTO intake.session (session_id, account_id, created_at, expires_at, ended_at)
            SELECT seed.id('session', i), seed.fixed('a', i % 2000), seed.at(i), now() + interval '1 day',
                   CASE WHEN i < 18000 THEN now() END
            FROM generate_series(1, 20000) i;
            INSERT INTO intake.refresh_token (token_hash, session_id)
            SELECT sha256(('token' || i)::bytea), seed.id('session', i) FROM generate_series(1, 20000) i;
            INSERT INTO intake.sender_level (bucket, level, at)
            SELECT sha256(i::text::bytea), 1, now() FROM generate_series(1, 20000) i;
            INSERT INTO intake.sign_in_attempt (bucket, failures, not_before, at)
            SELECT sha256(i::text::bytea), 1, now(), now() FROM generate_series(1, 20000) i;
            """

    private static let dispatch =
        begin + """
            SELECT seed.messages('dispatch', 'case', 'case.opened.v1');
            INSERT INTO dispatch.category (
                code, kind, category_group, name_zh, name_en, severity, merge_radius_m, merge_window_min, respond_min,
                arrive_min, resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min)
            VALUES ('flooding', 'hazard', 'water', '积水', 'Flooding', 3, 50, 120, 10, 30, 240, 20, 60, 480);
            -- One in ten is open, one in a hundred is merged into the one before it.
            INSERT INTO dispatch.case_file (
                case_id, number, district_id, responsible_district_id, street_id, grid_id, community_id, kind, category,
                category_version, category_group, emergency, verified, severity, state, lon, lat, cell, opened_at,
                last_report_at, respond_due, arrive_due, resolve_due, closed_at, merged_into, order_id, report_count,
                reason_code, reason_zh, reason_en, version)
            SELECT seed.id('case', i), 1000000 + i, seed.fixed('d', i % 10), seed.fixed('d', (i + (i / 10 % 5 = 3)::int) % 10),
                   seed.fixed('5', i % 100), seed.fixed('6', i % 200), seed.fixed('c', i % 1000), 'hazard', 'flooding', 1,
                   'water', i / 10 % 25 = 0, true, 3, s.state, lon, lat,
                   (floor(lat / 0.0025)::bigint << 32) | floor(lon / 0.0025)::bigint, seed.at(i), seed.at(i),
                   seed.at(i) + interval '10 minutes', seed.at(i) + interval '30 minutes', seed.at(i) + interval '4 hours',
                   CASE WHEN s.state IN ('closed', 'merged') THEN seed.at(i) + interval '1 hour' END,
                   CASE WHEN s.state = 'merged' THEN seed.id('case', i - 1) END, seed.id('order', i), 1, 'seed', '', '', 1
            FROM generate_series(1, 20000) i,
                 LATERAL (SELECT 114 + (i % 200) * 0.001, 22.5 + (i / 200) * 0.001) p (lon, lat),
                 LATERAL (SELECT CASE WHEN i / 10 % 20 = 0 THEN 'filed' WHEN i / 10 % 20 = 1 THEN 'dispatched'
                                      WHEN i / 10 % 100 = 7 THEN 'merged' ELSE 'closed' END) s (state);
            INSERT INTO dispatch.report_state (
                report_id, district_id, outcome, case_id, filed_case_id, reason, category, kind, channel, emergency, verified,
                severity, lon, lat, observed_at, received_at, decided_at)
            SELECT seed.id('report', i), seed.fixed('d', i % 10), 'case', seed.id('case', i), seed.id('case', i), 'new',
                   'flooding', 'hazard', 'web', false, true, 3, 114, 22.5, seed.at(i), seed.at(i), seed.at(i)
            FROM generate_series(1, 20000) i;
            INSERT INTO dispatch.due (case_id, district_id, clock, due_at)
            SELECT seed.id('case', i), seed.fixed('d', i % 10), 'resolve', now() + (i - 100) * interval '1 minute'
            FROM generate_series(1, 20000) i;
            INSERT INTO dispatch.overdue_mark (case_id, clock, due_at, district_id, raised_at)
            SELECT seed.id('case', i), 'respond', seed.at(i), seed.fixed('d', i % 10), seed.at(i)
            FROM generate_series(1, 20000) i;
            INSERT INTO dispatch.crew (crew_id, district_id, name, depot_lon, depot_lat)
            SELECT seed.fixed('e', i), seed.fixed('d', i % 10), 'Crew ' || i, 114 + (i % 50) * 0.004, 22.5 + (i / 50) * 0.005
            FROM generate_series(1, 1000) i;
            INSERT INTO dispatch.crew_position (crew_id, district_id, lon, lat, observed_at)
            SELECT crew_id, district_id, depot_lon, depot_lat, now() FROM dispatch.crew WHERE name LIKE 'Crew %';
            INSERT INTO dispatch.crew_slot (crew_id, district_id, shift_id, listed)
            SELECT crew_id, district_id, crew_id, 1 FROM dispatch.crew WHERE name LIKE 'Crew %';
            INSERT INTO dispatch.crew_member (account_id, crew_id, district_id)
            SELECT seed.fixed('a', i), seed.fixed('e', i), seed.fixed('d', i % 10) FROM generate_series(1, 1000) i;
            INSERT INTO dispatch.shift (shift_id, crew_id, district_id, account_id, started_at, ended_at)
            SELECT seed.id('shift', i), seed.fixed('e', i % 1000), seed.fixed('d', i % 10), seed.fixed('a', i % 1000),
                   seed.at(i), seed.at(i) + interval '8 hours'
            FROM generate_series(1, 20000) i;
            -- A few hold; the rest are of days gone by.
            INSERT INTO dispatch.crew_loan (
                loan_id, crew_id, district_id, responsible_district_id, since, until, lent_by)
            SELECT seed.id('loan', i), seed.fixed('e', i % 1000), seed.fixed('d', (i + 1) % 10), seed.fixed('d', i % 10),
                   seed.at(i), seed.at(i) + interval '8 hours', 'seed'
            FROM generate_series(1, 20000) i;
            INSERT INTO dispatch.phone_clock (crew_id, device, district_id, offset_ms, synced_at)
            SELECT seed.fixed('e', i), 'phone', seed.fixed('d', i % 10), 0, now() FROM generate_series(1, 1000) i;
            INSERT INTO dispatch.work_order (
                order_id, case_id, district_id, street_id, crew_id, crew_name, emergency, severity, state, assigned_at,
                done_at, released_at, last_step_at, assigned_by, reason_code, reason_zh, reason_en, version)
            SELECT seed.id('order', i), seed.id('case', i), seed.fixed('d', i % 10), seed.fixed('5', i % 100),
                   seed.fixed('e', i % 1000), 'Crew', i / 10 % 25 = 0, 3, CASE WHEN open THEN 'assigned' ELSE 'done' END,
                   seed.at(i), CASE WHEN NOT open THEN seed.at(i) END, CASE WHEN NOT open THEN seed.at(i) END, seed.at(i),
                   'seed', 'seed', '', '', 1
            FROM generate_series(1, 20000) i, LATERAL (SELECT i / 10 % 20 = 1 AND i > 19000) o (open);
            INSERT INTO dispatch.crew_period (order_id, crew_id, district_id, period)
            SELECT seed.id('order', i), seed.fixed('e', i % 1000), seed.fixed('d', i % 10),
                   tstzrange(seed.at(i), seed.at(i) + interval '10 minutes')
            FROM generate_series(1, 20000) i;
            INSERT INTO dispatch.order_step (
                step_id, order_id, crew_id, district_id, kind, observed_at, received_at, counted_at, counted, counted_reason,
                based_on, outcome, outcome_code, outcome_zh, outcome_en, account_id)
            SELECT seed.id('step', i), seed.id('order', i), seed.fixed('e', i % 1000), seed.fixed('d', i % 10), 'done',
                   seed.at(i), seed.at(i), seed.at(i), 'observed', 'seed', 1, 'applied', 'seed', '', '',
                   seed.fixed('a', i % 1000)
            FROM generate_series(1, 20000) i;
            INSERT INTO dispatch.claim_queue (
                case_id, district_id, emergency, severity, verified, not_before, since, skill_key, lon, lat)
            SELECT seed.id('case', i), seed.fixed('d', i % 10), i / 10 % 20 = 0, 3, true, seed.at(i), seed.at(i), '',
                   114 + (i % 200) * 0.001, 22.5 + (i / 200) * 0.001
            FROM generate_series(1, 20000) i;
            INSERT INTO dispatch.decision (
                decision_id, district_id, case_id, kind, what, reason_code, reason_zh, reason_en, inputs, rule_version, actor,
                decided_at)
            SELECT seed.id('decision', i), seed.fixed('d', i % 10), seed.id('case', i), 'triage', 'opened', 'seed', '', '',
                   '{}', 1, 'system', seed.at(i)
            FROM generate_series(1, 20000) i;
            UPDATE dispatch.dead_letter
            SET type = 'report.received.v1',
                body = convert_to(json_build_object('aggregateid', md5(id::text)::uuid)::text, 'UTF8')
            WHERE left(md5(id::text), 1) > '3';
            INSERT INTO dispatch.live_event (id, seq, district_id, responsible_district_id, at, kind)
            SELECT seed.id('dispatch event', i), CASE WHEN i < 19900 THEN i END, seed.fixed('d', i % 10),
                   seed.fixed('d', i % 10), seed.at(i), 'case'
            FROM generate_series(1, 20000) i;
            SELECT setval('dispatch.live_event_number', 20000);
            """

    private static let gis =
        begin + """
            INSERT INTO gis.area (
                area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, geometry)
            SELECT seed.fixed('d', i), 'district', 'd' || i, '区', 'District', NULL, seed.fixed('d', i), NULL,
                   ST_Multi(ST_MakeEnvelope(114 + i * 0.02, 22.5, 114 + (i + 1) * 0.02, 22.6, 4326))
            FROM generate_series(0, 9) i;
            INSERT INTO gis.area (
                area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, geometry)
            SELECT seed.fixed('5', i), 'street', 's' || i, '街道', 'Street', seed.fixed('d', i % 10), seed.fixed('d', i % 10), NULL,
                   ST_Multi(ST_MakeEnvelope(x, y, x + 0.02, y + 0.01, 4326))
            FROM generate_series(0, 99) i, LATERAL (SELECT 114 + (i % 10) * 0.02, 22.5 + (i / 10) * 0.01) p (x, y);
            INSERT INTO gis.area (
                area_id, level, code, name_zh, name_en, parent_id, district_id, community_type, geometry)
            SELECT seed.fixed('c', i), 'community', 'c' || i, '小区', 'Community', seed.fixed('5', i % 100),
                   seed.fixed('d', i % 10), 'residential', ST_Multi(ST_MakeEnvelope(x, y, x + 0.002, y + 0.01, 4326))
            FROM generate_series(0, 999) i,
                 LATERAL (SELECT 114 + (i % 10) * 0.02 + (i / 100) * 0.002, 22.5 + (i / 10 % 10) * 0.01) p (x, y);
            INSERT INTO gis.responsibility (area_id, district_id, person_id, person_name, period)
            SELECT area_id, district_id, area_id, 'Person', tstzrange('2020-01-01', NULL) FROM gis.area
            WHERE level IN ('district', 'street');
            INSERT INTO gis.facility (
                facility_id, kind, source, source_id, code, district_id, community_id, geometry, changed_at)
            SELECT seed.id('facility', i), 'manhole', 'seed', i::text, 'seed/' || i, seed.fixed('d', i % 10),
                   seed.fixed('c', i % 1000), ST_SetSRID(ST_MakePoint(x, y), 4326), seed.at(i)
            FROM generate_series(1, 20000) i,
                 LATERAL (SELECT 114 + (i % 10) * 0.02 + (i % 1000 / 100) * 0.002 + i / 1000 * 0.0001,
                                 22.5 + (i / 10 % 10) * 0.01 + i / 1000 * 0.0004) p (x, y);
            INSERT INTO gis.import (import_id, district_id, source, kind, profile, state, started_by)
            SELECT seed.fixed('b', i), seed.fixed('d', i % 10), 'seed', 'manhole', '{}', 'done', 'seed'
            FROM generate_series(1, 2000) i;
            INSERT INTO gis.import_issue (import_id, district_id, row_number, severity, field, code, detail)
            SELECT seed.fixed('b', i % 2000), seed.fixed('d', i % 10), i, 'repaired', 'length_m', 'zero', ''
            FROM generate_series(1, 20000) i;
            INSERT INTO gis.import_staging (import_id, row_number, feature)
            SELECT seed.fixed('b', i % 20), i, '{}' FROM generate_series(1, 20000) i;
            INSERT INTO gis.import_seen (import_id, source_id)
            SELECT seed.fixed('b', i % 20), i::text FROM generate_series(1, 20000) i;
            SELECT seed.messages('gis', 'facility', 'facility.changed.v1');
            """

    private static let notification =
        begin + """
            SELECT seed.messages('notification', 'notice', 'notice.attempted.v1');
            INSERT INTO notification.office (office_id, district_id, street_id, name_zh, name_en)
            SELECT seed.fixed('f', i), seed.fixed('d', i % 10), seed.fixed('5', i), '街道办', 'Office'
            FROM generate_series(0, 99) i;
            INSERT INTO notification.recipient (recipient_id, office_id, district_id, level, account_id, name)
            SELECT seed.fixed('8', i), seed.fixed('f', i % 100), seed.fixed('d', i % 10), 1 + (i % 2), seed.fixed('a', i), 'Person'
            FROM generate_series(1, 2000) i;
            INSERT INTO notification.channel (channel_id, recipient_id, district_id, kind, address)
            SELECT seed.fixed('9', i), seed.fixed('8', i), seed.fixed('d', i % 10), 'mail', '' FROM generate_series(1, 2000) i;
            INSERT INTO notification.case_held (case_id, version, district_id, snapshot)
            SELECT seed.id('case', i), 1, seed.fixed('d', i % 10), '{}' FROM generate_series(1, 20000) i;
            INSERT INTO notification.notice (
                notice_id, case_id, district_id, street_id, office_id, recipient_id, emergency, purpose, round, state,
                case_opened_at, created_at, escalate_at, reason)
            SELECT seed.id('notice', i), seed.id('case', i), seed.fixed('d', i % 10), seed.fixed('5', i % 100),
                   seed.fixed('f', i % 100), seed.fixed('8', 1 + i % 2000), true, 'emergency', 1, 'delivered', seed.at(i),
                   seed.at(i), CASE WHEN i > 19900 THEN now() + (i - 19950) * interval '1 minute' END, 'seed'
            FROM generate_series(1, 20000) i;
            INSERT INTO notification.delivery (
                delivery_id, notice_id, district_id, channel_id, kind, emergency, state, next_at, created_at)
            SELECT seed.id('delivery', i), seed.id('notice', i), seed.fixed('d', i % 10), seed.fixed('9', 1 + i % 2000), 'mail',
                   true, CASE WHEN i > 10000 THEN 'waiting' ELSE 'delivered' END,
                   now() + (i - 10050) * interval '1 second', seed.at(i)
            FROM generate_series(1, 20000) i;
            INSERT INTO notification.delivery_attempt (
                delivery_id, district_id, attempt, started_at, ended_at, outcome, detail)
            SELECT seed.id('delivery', i), seed.fixed('d', i % 10), 1, seed.at(i), seed.at(i), 'delivered', 'seed'
            FROM generate_series(1, 20000) i;
            INSERT INTO notification.comment (comment_id, notice_id, case_id, district_id, author, author_name, body)
            SELECT seed.id('comment', i), seed.id('notice', i), seed.id('case', i), seed.fixed('d', i % 10), 'seed', 'Person', 'x'
            FROM generate_series(1, 20000) i;
            INSERT INTO notification.link (kid, notice_id, recipient_id, link_district, purpose, expires_at)
            SELECT 'kid-' || lpad(i::text, 16, '0'), seed.id('notice', i), seed.fixed('8', 1 + i % 2000), seed.fixed('d', i % 10),
                   'acknowledge', now() + interval '1 day'
            FROM generate_series(1, 20000) i;
            """

    private static let scoring =
        begin + """
            SELECT seed.messages('scoring', 'score', 'score.made.v1');
            INSERT INTO scoring.evidence (
                event_id, fact, source, aggregate_id, version, district_id, street_id, community_id, at, body)
            SELECT seed.id('dispatch event', i), 'case.opened', 'dispatch', seed.id('case', i), 1, seed.fixed('d', i % 10),
                   seed.fixed('5', i % 100), seed.fixed('c', i % 1000), seed.at(i), '{}'
            FROM generate_series(1, 20000) i;
            INSERT INTO scoring.case_fact (
                case_id, version, district_id, responsible_district_id, street_id, grid_id, community_id, kind, category,
                emergency, state, opened_at, verdict, verdict_code, rule_version, event_id)
            SELECT seed.id('case', i), 1, seed.fixed('d', i % 10), seed.fixed('d', i % 10), seed.fixed('5', i % 100),
                   seed.fixed('6', i % 200), seed.fixed('c', i % 1000), 'hazard', 'flooding', false, 'closed', seed.at(i),
                   'in_time', 'in_time', 1, seed.id('dispatch event', i)
            FROM generate_series(1, 20000) i;
            """
}
