import FoundationEssentials
import Model
import Postgres

/// The SQL that imports of areas and of responsibility share. Their runs stand in the same tables as those of
/// facilities, under the city, and are written in one transaction: they stay in `staging` until they are over.
enum RegisterImportStore {
    static func open(_ id: UUID, kind: String, source: String, profile: JSONB, startedBy: String) -> SQL {
        """
        INSERT INTO gis.import (import_id, district_id, source, kind, profile, started_by)
        VALUES (\(id), sluice.city(), \(source), \(kind), \(profile), \(startedBy))
        """
    }

    /// Two imports of the register wait for each other: each rests on what it has read of parents, codes and names.
    static let oneAtATime: SQL = "SELECT pg_advisory_xact_lock(hashtextextended('gis.area import', 0)) IS NULL AS taken"

    /// Ends a run that has been written, in the transaction that wrote it.
    static func finish(_ id: UUID, rows: Int, _ counts: ImportCounts) -> [SQL] {
        [
            "UPDATE gis.import SET rows_staged = \(rows)::int WHERE import_id = \(id)",
            ImportStore.count(id, counts, through: rows),
        ] + ImportStore.close(id, error: nil)
    }

    /// Ends a run of which nothing has been written. One that was written after all, its answer lost, stays as it is.
    static func abandon(_ id: UUID, reason: String) -> [SQL] {
        [
            "DELETE FROM gis.import_staging WHERE import_id = \(id)",
            """
            UPDATE gis.import SET state = 'failed', ended_at = clock_timestamp(), error = \(reason)
            WHERE import_id = \(id) AND state = 'staging'
            """,
        ]
    }
}
