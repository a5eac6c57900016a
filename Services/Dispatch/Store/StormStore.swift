import FoundationEssentials
import Model
import Outbox
import Postgres

/// The statements on `dispatch.storm_level`.
enum StormStore {
    static func read(_ districts: [District.ID]) -> SQL {
        """
        SELECT district_id, level, version, since, reason, changed_by FROM dispatch.storm_level
        WHERE district_id = ANY (\(districts))
        ORDER BY district_id
        """
    }

    static func lock(_ district: District.ID) -> SQL {
        """
        SELECT district_id, level, version, since, reason, changed_by FROM dispatch.storm_level
        WHERE district_id = \(district)
        FOR UPDATE
        """
    }

    /// - Parameter version: the new one; a first level is version 1.
    static func save(_ storm: StormSnapshot, by actor: String) -> SQL {
        """
        WITH changed AS (
            INSERT INTO dispatch.storm_level AS s (district_id, level, version, since, reason, changed_by)
            VALUES (\(storm.districtID), \(storm.level.rawValue), \(storm.version), \(storm.since),
                    \(storm.reason.postgresParameter), \(actor))
            ON CONFLICT (district_id) DO UPDATE
            SET level = excluded.level, version = excluded.version, since = excluded.since, reason = excluded.reason,
                changed_by = excluded.changed_by
            WHERE s.version = excluded.version - 1
            RETURNING 1
        )
        SELECT dispatch.expect_rows((SELECT count(*) FROM changed), 1)
        """
    }

    static let unapplied: SQL = """
        SELECT district_id, level, version FROM dispatch.storm_level WHERE applied_version < version
        """

    static func applied(_ district: District.ID, version: Int) -> SQL {
        "UPDATE dispatch.storm_level SET applied_version = \(version) WHERE district_id = \(district)"
    }
}
