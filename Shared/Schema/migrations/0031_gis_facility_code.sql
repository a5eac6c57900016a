-- gis: a facility by the code on its plate, which a report may name.
CREATE INDEX facility_code ON gis.facility (code, facility_id);
