import FoundationEssentials
import Model
import Postgres

/// The SQL of an import of who answers for what.
enum ResponsibilityStore {
    static func isKnown(timeZone: String) -> SQL {
        "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE lower(name) = lower(\(timeZone)::text)) AS is_known"
    }

    /// Validates and writes all staged rows, each area's in the order of time, so that one person's end is there before
    /// the next one's beginning. Answers one row of counts.
    ///
    /// A row without `person_id` means whoever of that name answers for the area from that moment on; else the person
    /// of that name whom the register or this file knows in the area's district, or a new one. Where two people there
    /// have the name, the row is refused.
    static func write(_ id: UUID, timeZone: String) -> SQL {
        """
        WITH raw AS MATERIALIZED (
            SELECT s.row_number, nullif(lower(btrim(j.line ->> 'level')), '') AS level,
                   nullif(btrim(j.line ->> 'code'), '') AS code,
                   nullif(btrim(j.line ->> 'person_name'), '') AS name,
                   nullif(btrim(j.line ->> 'person_id'), '') AS person_text,
                   gis.read_uuid(btrim(j.line ->> 'person_id')) AS person_id,
                   nullif(btrim(j.line ->> 'deputising_for'), '') AS deputised_text,
                   gis.read_uuid(btrim(j.line ->> 'deputising_for')) AS deputised_id,
                   nullif(btrim(j.line ->> 'until'), '') AS until_text,
                   gis.read_moment(btrim(j.line ->> 'from'), \(timeZone)::text) AS since,
                   gis.read_moment(btrim(j.line ->> 'until'), \(timeZone)::text) AS until
            FROM gis.import_staging s
            CROSS JOIN LATERAL (SELECT gis.read_json(s.feature) AS line OFFSET 0) j
            WHERE s.import_id = \(id)
        ), placed AS MATERIALIZED (
            SELECT r.*, a.area_id, a.district_id
            FROM raw r
            LEFT JOIN gis.area a ON a.level = r.level AND a.code = r.code AND a.level <> 'special'
        ), wanted AS MATERIALIZED (
            SELECT p.district_id, p.name FROM placed p WHERE p.district_id IS NOT NULL AND p.name IS NOT NULL
            UNION
            SELECT p.district_id, p.deputised_text FROM placed p
            WHERE p.district_id IS NOT NULL AND p.deputised_text IS NOT NULL AND p.deputised_id IS NULL
        ), known AS MATERIALIZED (
            SELECT k.district_id, k.name, (array_agg(k.person_id))[1] AS person_id, count(*) AS people
            FROM (
                SELECT r.district_id, r.person_name AS name, r.person_id
                FROM gis.responsibility r
                JOIN wanted w ON w.district_id = r.district_id AND w.name = r.person_name
                UNION
                SELECT p.district_id, p.name, p.person_id FROM placed p
                WHERE p.district_id IS NOT NULL AND p.name IS NOT NULL AND p.person_id IS NOT NULL
            ) k
            GROUP BY k.district_id, k.name
        ), person AS MATERIALIZED (
            SELECT k.district_id, k.name, k.person_id, k.people FROM known k
            UNION ALL
            SELECT n.district_id, n.name, sluice.uuid_v7(), 1
            FROM (SELECT DISTINCT p.district_id, p.name FROM placed p
                  WHERE p.district_id IS NOT NULL AND p.name IS NOT NULL AND p.person_text IS NULL) n
            WHERE NOT EXISTS (SELECT FROM known k WHERE k.district_id = n.district_id AND k.name = n.name)
        ), checked AS MATERIALIZED (
            SELECT p.*, w.person, coalesce(p.deputised_id, d.person_id) AS deputised,
                   CASE WHEN p.level IS NULL OR p.level <> ALL ('{district,street,grid,community}') THEN 'unfit_level'
                        WHEN p.code IS NULL THEN 'no_code'
                        WHEN p.area_id IS NULL THEN 'unknown_area'
                        WHEN p.person_text IS NOT NULL AND p.person_id IS NULL THEN 'unfit_person'
                        WHEN p.name IS NULL THEN 'no_name'
                        WHEN length(p.name) > 120 THEN 'long_name'
                        WHEN p.person_id IS NULL AND o.person_id IS NULL AND n.people > 1 THEN 'two_people'
                        WHEN p.since IS NULL THEN 'unfit_from'
                        WHEN p.until_text IS NOT NULL AND p.until IS NULL THEN 'unfit_until'
                        WHEN p.until <= p.since THEN 'ends_early'
                        WHEN p.deputised_text IS NOT NULL AND p.deputised_id IS NULL AND d.people IS DISTINCT FROM 1
                            THEN 'unknown_deputised'
                        WHEN coalesce(p.deputised_id, d.person_id) = w.person THEN 'own_deputy'
                   END AS refused
            FROM placed p
            LEFT JOIN person n ON n.district_id = p.district_id AND n.name = p.name
            LEFT JOIN person d ON d.district_id = p.district_id AND d.name = p.deputised_text
            LEFT JOIN gis.responsibility o ON o.area_id = p.area_id AND o.period @> p.since
                AND lower(o.period) = p.since AND o.person_name = p.name
            CROSS JOIN LATERAL (SELECT coalesce(p.person_id, o.person_id, n.person_id) AS person) w
        ), tried AS MATERIALIZED (
            SELECT t.row_number,
                   gis.write_responsibility(
                       t.area_id, t.district_id, t.person, t.name, t.deputised, t.since, t.until) AS outcome
            FROM (SELECT c.* FROM checked c WHERE c.refused IS NULL
                  ORDER BY c.area_id, c.since, c.row_number OFFSET 0) t
        ), judged AS MATERIALIZED (
            SELECT c.row_number, left(c.level || '/' || c.code, 200) AS area,
                   coalesce(c.refused, CASE t.outcome WHEN 'overlaps' THEN t.outcome END) AS refused, t.outcome
            FROM checked c
            LEFT JOIN tried t ON t.row_number = c.row_number
        ), issue AS (
            INSERT INTO gis.import_issue (import_id, district_id, row_number, source_id, severity, field, code, detail)
            SELECT \(id), sluice.city(), j.row_number, j.area, 'refused', i.field, i.code, i.detail
            FROM judged j
            JOIN (VALUES
                ('unfit_level', 'level', 'not_allowed', 'district, street, grid or community is wanted'),
                ('no_code', 'code', 'missing', 'the code of the area is missing'),
                ('unknown_area', 'code', 'unknown', 'there is no such area; import the areas first'),
                ('unfit_person', 'person_id', 'unfit', 'a UUID is wanted, or nothing'),
                ('no_name', 'person_name', 'missing', 'the name of the person is missing'),
                ('long_name', 'person_name', 'too_long', 'a name has at most 120 characters'),
                ('two_people', 'person_id', 'missing', 'several people of the district have this name; say which'),
                ('unfit_from', 'from', 'unfit', 'a day such as 2026-07-01 or a time with its offset is wanted'),
                ('unfit_until', 'until', 'unfit', 'a day such as 2026-07-01 or a time with its offset is wanted'),
                ('ends_early', 'until', 'too_early', 'the time ends before it begins'),
                ('unknown_deputised', 'deputising_for', 'unknown',
                 'the id of the person on leave is wanted, or a name that one person of the district has'),
                ('own_deputy', 'deputising_for', 'not_allowed', 'nobody deputises for themselves'),
                ('overlaps', 'from', 'overlaps',
                 'somebody answers for the area in a part of that time; give that one an end first')
            ) AS i (refused, field, code, detail) ON i.refused = j.refused
        )
        SELECT count(*)::int AS read, count(j.refused)::int AS refused,
               (count(*) FILTER (WHERE j.outcome = 'added'))::int AS added,
               (count(*) FILTER (WHERE j.outcome = 'changed'))::int AS changed
        FROM judged j
        """
    }
}
