import FoundationEssentials
import Model
import Postgres

/// The SQL of an import: staging, then chunks that are validated and written by PostGIS in one statement each.
enum ImportStore {
    /// Opens a run, whose rows are staged next. Answers its id; nothing if there is no such district.
    static func open(_ id: UUID, district: District.ID, profile: ImportProfile, startedBy: String) throws -> SQL {
        """
        INSERT INTO gis.import (import_id, district_id, source, kind, system, profile, started_by)
        SELECT \(id)::uuid, a.area_id, \(profile.source)::text, \(profile.kind)::text, \(profile.system)::text,
               \(try JSONB.json(profile))::jsonb, \(startedBy)::text
        FROM gis.area a
        WHERE a.area_id = \(district) AND a.level = 'district'
        RETURNING import_id
        """
    }

    /// All rows are staged: from here on the run ends by itself, whoever finds it.
    static func start(_ id: UUID, rows: Int) -> SQL {
        """
        UPDATE gis.import SET state = 'running', rows_staged = \(rows)::int
        WHERE import_id = \(id) AND state = 'staging'
        """
    }

    /// The oldest runs that wait for somebody to carry them on: so many that some which cannot go on for now never hide
    /// the rest.
    static let waiting: SQL = "SELECT import_id FROM gis.import WHERE state = 'running' ORDER BY import_id LIMIT 100"

    /// Runs whose sender vanished while staging.
    static let abandoned: SQL =
        "SELECT import_id FROM gis.import WHERE state = 'staging' AND started_at < now() - interval '1 hour'"

    /// Locks a run for its next chunk; nothing if it is over or another instance is at it.
    static func take(_ id: UUID) -> SQL {
        """
        SELECT district_id, profile, rows_staged, done_through
        FROM gis.import WHERE import_id = \(id) AND state = 'running'
        FOR UPDATE SKIP LOCKED
        """
    }

    /// Where a run stands, for who waits for its end.
    static func standing(_ id: UUID) -> SQL {
        """
        SELECT state, error, rows_staged, done_through, rows_read, rows_added, rows_changed, rows_refused
        FROM gis.import WHERE import_id = \(id)
        """
    }

    /// One run as the API shows it.
    static func show(_ id: UUID, districts: [UUID]?) -> SQL {
        """
        SELECT import_id, district_id, source, kind, system, state, started_at, ended_at, rows_staged, rows_read,
               rows_added, rows_changed, rows_same, rows_refused, error
        FROM gis.import
        WHERE import_id = \(id) AND (\(districts)::uuid[] IS NULL OR district_id = ANY (\(districts)::uuid[]))
        """
    }

    /// What was refused or repaired, by row.
    static func issues(_ id: UUID, limit: Int) -> SQL {
        """
        SELECT row_number, source_id, severity, field, code, detail
        FROM gis.import_issue
        WHERE import_id = \(id)
        ORDER BY row_number, field, code
        LIMIT \(limit)::int
        """
    }

    /// Validates and writes the staged rows in (after, through]. Answers one row: the counts of the chunk, and the
    /// facilities that were added or changed as a JSON array of {id, version, district, code}.
    ///
    /// A null, 0 or negative diameter or length and a node of −1 or 0 are unknown, and become null with an issue that
    /// says so; inverts of exactly 0 likewise (the sources write 0 for "not surveyed"). A row is refused when it has
    /// no id or one that is too long, no readable geometry of the right type, lies outside the district, or names a
    /// facility of another district: nobody takes over what another district keeps under the same source and id.
    static func writeChunk(
        _ id: UUID, district: District.ID, profile: ImportProfile, after: Int, through: Int
    ) -> SQL {
        """
        WITH staged AS MATERIALIZED (
            SELECT s.row_number, gis.read_json(s.feature) AS feature
            FROM gis.import_staging s
            WHERE s.import_id = \(id) AND s.row_number > \(after)::int AND s.row_number <= \(through)::int
        ), raw AS MATERIALIZED (
            SELECT s.row_number, s.feature IS NULL AS unreadable, p.properties,
                   nullif(btrim(p.properties ->> \(profile.id)::text), '') AS source_id,
                   gis.read_geometry(s.feature -> 'geometry') AS geometry,
                   gis.read_number(p.properties ->> \(profile.diameterMillimetres)::text) AS diameter_mm,
                   gis.read_number(p.properties ->> \(profile.lengthMetres)::text) AS length_m,
                   nullif(btrim(p.properties ->> \(profile.upNode)::text), '') AS up_node,
                   nullif(btrim(p.properties ->> \(profile.downNode)::text), '') AS down_node,
                   gis.read_number(p.properties ->> \(profile.upInvertMetres)::text) AS up_invert_m,
                   gis.read_number(p.properties ->> \(profile.downInvertMetres)::text) AS down_invert_m,
                   nullif(btrim(p.properties ->> \(profile.material)::text), '') AS material
            FROM staged s
            CROSS JOIN LATERAL (
                SELECT CASE WHEN jsonb_typeof(s.feature -> 'properties') = 'object'
                            THEN s.feature -> 'properties' ELSE '{}' END AS properties
            ) p
        ), placed AS MATERIALIZED (
            SELECT r.*, ST_PointOnSurface(r.geometry) AS inside
            FROM raw r
        ), checked AS MATERIALIZED (
            SELECT p.*,
                   CASE WHEN p.unreadable THEN 'unreadable'
                        WHEN p.source_id IS NULL THEN 'missing'
                        WHEN length(p.source_id) > 64 THEN 'too_long'
                        WHEN p.geometry IS NULL THEN 'invalid'
                        WHEN (\(profile.kind)::text = 'pipe')
                             <> (GeometryType(p.geometry) IN ('LINESTRING', 'MULTILINESTRING')) THEN 'wrong_type'
                        WHEN \(profile.kind)::text IN ('manhole', 'gully', 'outfall')
                             AND GeometryType(p.geometry) <> 'POINT' THEN 'wrong_type'
                        WHEN NOT EXISTS (
                            SELECT FROM gis.area a
                            WHERE a.area_id = \(district) AND a.level = 'district' AND a.geometry && p.inside
                              AND ST_Covers(a.geometry, p.inside)) THEN 'outside_district'
                        -- By the unique index, row by row: an EXISTS might be answered by reading the whole table.
                        WHEN (SELECT f.district_id FROM gis.facility f
                              WHERE f.source = \(profile.source) AND f.kind = \(profile.kind)
                                AND f.source_id = p.source_id) <> \(district) THEN 'other_district'
                   END AS refused
            FROM placed p
        ), seen AS (
            -- Of several rows with one id the first counts, also across chunks.
            INSERT INTO gis.import_seen (import_id, source_id)
            SELECT \(id), c.source_id FROM checked c WHERE c.refused IS NULL GROUP BY c.source_id
            ON CONFLICT DO NOTHING
            RETURNING source_id
        ), judged AS MATERIALIZED (
            SELECT c.row_number, c.source_id, c.geometry, c.inside, c.properties, c.diameter_mm, c.length_m, c.up_node,
                   c.down_node, c.up_invert_m, c.down_invert_m, c.material,
                   CASE WHEN c.refused IS NOT NULL THEN c.refused
                        WHEN s.source_id IS NULL OR c.row_number > min(c.row_number)
                             FILTER (WHERE c.refused IS NULL) OVER (PARTITION BY c.source_id) THEN 'duplicate'
                   END AS refused
            FROM checked c
            LEFT JOIN seen s ON s.source_id = c.source_id
        ), issue AS (
            INSERT INTO gis.import_issue (import_id, district_id, row_number, source_id, severity, field, code, detail)
            -- An id is shown, never found again by what is shown: 200 characters tell which.
            SELECT \(id), \(district), j.row_number, left(j.source_id, 200), i.severity, i.field, i.code, i.detail
            FROM judged j
            CROSS JOIN LATERAL (
                VALUES
                    (j.refused = 'unreadable', 'refused', 'feature', 'unreadable', 'the feature is not valid JSON'),
                    (j.refused = 'missing', 'refused', 'properties.' || \(profile.id)::text, 'missing',
                     'the property that identifies the feature is missing or empty'),
                    (j.refused = 'too_long', 'refused', 'properties.' || \(profile.id)::text, 'too_long',
                     'the property that identifies the feature has more than 64 characters'),
                    (j.refused = 'invalid', 'refused', 'geometry', 'invalid',
                     'a valid, non-empty GeoJSON geometry in longitude and latitude is wanted'),
                    (j.refused = 'wrong_type', 'refused', 'geometry.type', 'wrong_type',
                     'pipes are lines; manholes, gullies and outfalls are points'),
                    (j.refused = 'outside_district', 'refused', 'geometry.coordinates', 'outside_district',
                     'the feature lies outside the district of the import'),
                    (j.refused = 'other_district', 'refused', 'properties.' || \(profile.id)::text, 'other_district',
                     'another district has a facility of this source, kind and id; give the source another name'),
                    (j.refused = 'duplicate', 'refused', 'properties.' || \(profile.id)::text, 'duplicate',
                     'an earlier row of this import has the same id'),
                    (j.refused IS NULL AND length(j.up_node) > 64, 'repaired', 'up_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND length(j.down_node) > 64, 'repaired', 'down_node', 'too_long',
                     'a node of more than 64 characters is left out'),
                    (j.refused IS NULL AND j.diameter_mm <= 0, 'repaired', 'diameter_mm', 'not_positive',
                     'a diameter of 0 or less means unknown'),
                    (j.refused IS NULL AND j.length_m <= 0, 'repaired', 'length_m', 'not_positive',
                     'a length of 0 or less means unknown; the length of the line is used'),
                    (j.refused IS NULL AND j.up_node IN ('-1', '0'), 'repaired', 'up_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.down_node IN ('-1', '0'), 'repaired', 'down_node', 'no_node',
                     'a node of -1 or 0 means unknown'),
                    (j.refused IS NULL AND j.up_invert_m = 0, 'repaired', 'up_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed'),
                    (j.refused IS NULL AND j.down_invert_m = 0, 'repaired', 'down_invert_m', 'zero',
                     'an invert of exactly 0 means not surveyed')
            ) AS i (applies, severity, field, code, detail)
            WHERE i.applies
            ON CONFLICT DO NOTHING
        ), good AS (
            SELECT j.row_number, j.source_id, j.geometry, j.properties, j.material,
                   CASE WHEN j.diameter_mm > 0 THEN j.diameter_mm END AS diameter_mm,
                   CASE WHEN j.length_m > 0 THEN j.length_m
                        WHEN \(profile.kind)::text = 'pipe' THEN nullif(ST_Length(j.geometry::geography), 0)
                   END AS length_m,
                   CASE WHEN j.up_node NOT IN ('-1', '0') AND length(j.up_node) <= 64 THEN j.up_node END AS up_node,
                   CASE WHEN j.down_node NOT IN ('-1', '0') AND length(j.down_node) <= 64
                        THEN j.down_node END AS down_node,
                   nullif(j.up_invert_m, 0) AS up_invert_m,
                   nullif(j.down_invert_m, 0) AS down_invert_m,
                   CASE WHEN a.level = 'community' THEN a.area_id END AS community_id,
                   CASE WHEN a.level <> 'community' THEN a.area_id END AS grid_or_street_id
            FROM judged j
            LEFT JOIN LATERAL (
                -- The innermost, which the alphabet gives: community, grid, street.
                SELECT n.area_id, n.level
                FROM gis.area n
                WHERE n.level IN ('community', 'grid', 'street')
                  AND n.geometry && j.inside AND ST_Covers(n.geometry, j.inside)
                ORDER BY n.level, ST_Area(n.geometry), n.area_id
                LIMIT 1
            ) a ON true
            WHERE j.refused IS NULL
        ), written AS (
            INSERT INTO gis.facility AS f (
                kind, system, source, source_id, code, district_id, community_id, grid_or_street_id, geometry,
                diameter_mm, length_m, up_node, down_node, up_invert_m, down_invert_m, material, attributes)
            SELECT \(profile.kind), \(profile.system), \(profile.source), g.source_id,
                   \(profile.source) || '/' || g.source_id, \(district), g.community_id, g.grid_or_street_id,
                   g.geometry, g.diameter_mm, g.length_m, g.up_node, g.down_node, g.up_invert_m, g.down_invert_m,
                   g.material, g.properties
            FROM good g
            ON CONFLICT (source, kind, source_id) DO UPDATE
            SET system = excluded.system, community_id = excluded.community_id,
                grid_or_street_id = excluded.grid_or_street_id, geometry = excluded.geometry,
                diameter_mm = excluded.diameter_mm, length_m = excluded.length_m, up_node = excluded.up_node,
                down_node = excluded.down_node, up_invert_m = excluded.up_invert_m,
                down_invert_m = excluded.down_invert_m, material = excluded.material,
                attributes = excluded.attributes, retired_at = NULL,
                version = f.version + 1, changed_at = clock_timestamp()
            -- The net under 'other_district': the same id may have come in for two districts at the same moment.
            WHERE f.district_id = excluded.district_id
              AND ((f.system, f.community_id, f.grid_or_street_id, f.diameter_mm, f.length_m, f.up_node, f.down_node,
                    f.up_invert_m, f.down_invert_m, f.material, f.attributes, f.retired_at)
                   IS DISTINCT FROM
                   (excluded.system, excluded.community_id, excluded.grid_or_street_id, excluded.diameter_mm,
                    excluded.length_m, excluded.up_node, excluded.down_node, excluded.up_invert_m,
                    excluded.down_invert_m, excluded.material, excluded.attributes, NULL::timestamptz)
                   OR NOT f.geometry ~= excluded.geometry OR NOT ST_OrderingEquals(f.geometry, excluded.geometry))
            RETURNING f.facility_id, f.version, f.district_id, f.code
        )
        SELECT (SELECT count(*) FROM judged)::int AS read,
               (SELECT count(*) FROM judged WHERE refused IS NOT NULL)::int AS refused,
               (SELECT count(*) FROM written WHERE version = 1)::int AS added,
               (SELECT count(*) FROM written WHERE version > 1)::int AS changed,
               coalesce((SELECT jsonb_agg(jsonb_build_object('id', w.facility_id, 'version', w.version,
                                                             'code', w.code))
                         FROM written w), '[]') AS facilities
        """
    }

    /// Says of a row that the database does not take it, for a reason that no check foresaw.
    static func refuse(_ id: UUID, district: District.ID, row: Int, reason: String) -> SQL {
        """
        INSERT INTO gis.import_issue (import_id, district_id, row_number, severity, field, code, detail)
        VALUES (\(id), \(district), \(row)::int, 'refused', 'feature', 'unwritable', \(reason))
        ON CONFLICT DO NOTHING
        """
    }

    /// Adds a chunk's counts to the run and moves it on.
    static func count(_ id: UUID, _ chunk: ImportCounts, through: Int) -> SQL {
        """
        UPDATE gis.import
        SET rows_read = rows_read + \(chunk.read)::int, rows_added = rows_added + \(chunk.added)::int,
            rows_changed = rows_changed + \(chunk.changed)::int, rows_same = rows_same + \(chunk.same)::int,
            rows_refused = rows_refused + \(chunk.refused)::int, done_through = \(through)::int
        WHERE import_id = \(id)
        """
    }

    /// Ends a run and empties its staging rows.
    static func close(_ id: UUID, error: String?) -> [SQL] {
        [
            "DELETE FROM gis.import_staging WHERE import_id = \(id)",
            "DELETE FROM gis.import_seen WHERE import_id = \(id)",
            """
            UPDATE gis.import
            SET state = \(error == nil ? "done" : "failed"), ended_at = clock_timestamp(), error = \(error)
            WHERE import_id = \(id)
            """,
        ]
    }
}

/// How many rows of an import went which way.
public struct ImportCounts: Sendable, Hashable, Codable {
    public var read = 0
    public var added = 0
    public var changed = 0
    public var refused = 0

    /// Valid rows that the register already held as they are.
    public var same: Int { read - added - changed - refused }

    public init(read: Int = 0, added: Int = 0, changed: Int = 0, refused: Int = 0) {
        self.read = read
        self.added = added
        self.changed = changed
        self.refused = refused
    }
}
