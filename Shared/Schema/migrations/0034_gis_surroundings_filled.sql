-- gis: what 0033 added, for the facilities that are there. A transaction of its own: adding a column keeps readers out
-- until its transaction ends, and this takes its time on a large register.
SELECT set_config('sluice.districts', '*', true);
UPDATE gis.facility f
SET grid_or_street_id = n.area_id
FROM (
    SELECT o.facility_id, a.area_id
    FROM gis.facility o
    CROSS JOIN LATERAL (SELECT ST_PointOnSurface(o.geometry) AS inside OFFSET 0) p
    CROSS JOIN LATERAL (
        SELECT s.area_id
        FROM gis.area s
        WHERE s.level IN ('grid', 'street') AND s.geometry && p.inside AND ST_Covers(s.geometry, p.inside)
        -- In the order of the alphabet a grid comes before its street.
        ORDER BY s.level, ST_Area(s.geometry), s.area_id
        LIMIT 1
    ) a
    WHERE o.community_id IS NULL
) n
WHERE n.facility_id = f.facility_id;
