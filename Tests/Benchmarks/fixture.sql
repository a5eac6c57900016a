-- What the benchmarks add to the sample city: work that nothing merges by chance, and crews enough that nobody waits for one.
-- Run as superuser by fixture.py; the numbers are its parameters. Idempotent.
SET sluice.districts = '*';

INSERT INTO dispatch.category (
    code, kind, category_group, name_zh, name_en, severity, always_emergency, merge_radius_m, merge_window_min,
    respond_min, arrive_min, resolve_min, storm_respond_min, storm_arrive_min, storm_resolve_min)
VALUES
    ('bench_routine', 'request', 'bench_routine', '基准常规', 'benchmark, routine', 2, false, 1, 1,
     525600, 525600, 525600, 525600, 525600, 525600),
    ('bench_emergency', 'hazard', 'bench_emergency', '基准紧急', 'benchmark, emergency', 4, true, 1, 1,
     525600, 525600, 525600, 525600, 525600, 525600)
ON CONFLICT (code) DO NOTHING;

-- The sample crews go home: what is measured does not depend on what they were left with.
UPDATE dispatch.crew_slot SET shift_id = NULL
WHERE crew_id IN (SELECT crew_id FROM dispatch.crew WHERE name NOT LIKE 'bench %' AND NOT canary);
UPDATE dispatch.shift SET ended_at = clock_timestamp()
WHERE ended_at IS NULL
  AND crew_id IN (SELECT crew_id FROM dispatch.crew WHERE name NOT LIKE 'bench %' AND NOT canary);

-- Crews on shift, evenly over each district, with lists that are never full.
INSERT INTO dispatch.crew (crew_id, district_id, name, depot_lon, depot_lat, list_limit)
SELECT sluice.uuid_v7(clock_timestamp()), a.area_id, format('bench %s %s', a.code, n),
       113.961 + d.ordinal * 0.060 + 0.058 * ((n * 0.618034) % 1), 22.521 + 0.058 * ((n * 0.754878) % 1), 100000
FROM (SELECT area_id, code, row_number() OVER (ORDER BY code DESC) - 1 AS ordinal
      FROM gis.area WHERE level = 'district') d
JOIN gis.area a USING (area_id)
CROSS JOIN generate_series(1, :crews) n
WHERE NOT EXISTS (SELECT FROM dispatch.crew WHERE name = format('bench %s %s', a.code, n));

WITH begun AS (
    INSERT INTO dispatch.shift (shift_id, crew_id, district_id, account_id, started_at)
    SELECT sluice.uuid_v7(clock_timestamp()), crew_id, district_id, crew_id, clock_timestamp()
    FROM dispatch.crew c
    WHERE c.name LIKE 'bench %'
      AND NOT EXISTS (SELECT FROM dispatch.shift s WHERE s.crew_id = c.crew_id AND s.ended_at IS NULL)
    RETURNING shift_id, crew_id
)
UPDATE dispatch.crew_slot s SET shift_id = b.shift_id FROM begun b WHERE s.crew_id = b.crew_id;

ANALYZE dispatch.crew, dispatch.crew_slot, dispatch.crew_position;
