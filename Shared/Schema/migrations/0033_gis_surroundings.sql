-- gis: 管养缺位 as "what is here?" sees it (Tests/GISSync/FacilityTests). A facility outside all communities is answered
-- for by whoever answers for the grid or street that it lies in, not by the district alone. Kept with the facility as
-- its community is: looked up on the map for each of a million facilities, a page would take half a minute.
ALTER TABLE gis.facility ADD COLUMN grid_or_street_id uuid;
COMMENT ON COLUMN gis.facility.grid_or_street_id IS
    'The grid, else the street, around a facility that lies outside all communities; null inside one';

CREATE OR REPLACE VIEW gis.api_facility_without_responsible AS
SELECT f.facility_id, f.kind, f.code, f.district_id, f.community_id
FROM gis.facility f
LEFT JOIN gis.api_responsible r ON r.place_id = coalesce(f.community_id, f.grid_or_street_id, f.district_id)
WHERE f.retired_at IS NULL AND r.person_id IS NULL;
