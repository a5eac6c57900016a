import FoundationEssentials
import Model
import Pictures
import Postgres

/// The statements on the photos of reports.
struct AttachmentStore: Sendable {
    static let perReport = 6

    let database: PostgresClient

    struct Stored: Sendable, Hashable {
        var sha256: String
        var thumbnailSHA256: String
    }

    /// The photo whose bytes were the same, if the report has it already, and how many photos it has.
    func known(_ sourceSHA256: String, of report: Report.ID, in district: District.ID) async throws -> (
        stored: Stored?, count: Int
    ) {
        let rows = try await database.query(
            """
            SELECT source_sha256 = \(sourceSHA256), sha256, thumbnail_sha256
            FROM intake.attachment
            WHERE report_id = \(report) AND district_id = \(district)
            """, scope: .districts([district.rawValue]))
        let same = try rows.first { try $0.decode(0, as: Bool.self) }
        return (try same.map { Stored(sha256: try $0.decode(1), thumbnailSHA256: try $0.decode(2)) }, rows.count)
    }

    /// Writes the rows, after the files are safe. Nil if the report has as many photos as it may.
    func add(_ picture: TakenPicture, to report: Report.ID, in district: District.ID) async throws -> Stored? {
        let full = picture.full
        let thumbnail = picture.thumbnail
        return try await database.transaction(scope: .districts([district.rawValue])) { transaction in
            // Photos of one report come at the same time; each takes the next place, which it looks for under the lock.
            let rows = try await transaction.commit([
                "SELECT pg_advisory_xact_lock(hashtextextended('intake.attachment ' || \(report.description), 0))",
                insert(full), insert(thumbnail),
                """
                INSERT INTO intake.attachment (
                    report_id, district_id, ordinal, source_sha256, source_type, source_bytes, sha256,
                    thumbnail_sha256, taken_at, lon, lat)
                SELECT \(report), \(district), count(*) + 1, \(picture.sourceSHA256), \(picture.sourceType.rawValue),
                       \(picture.sourceBytes), \(full.sha256), \(thumbnail.sha256), \(picture.facts.takenAt),
                       \(picture.facts.place?.lon), \(picture.facts.place?.lat)
                FROM intake.attachment
                WHERE report_id = \(report) AND district_id = \(district)
                HAVING count(*) < \(Self.perReport)
                ON CONFLICT ON CONSTRAINT attachment_once DO NOTHING
                """,
                """
                SELECT sha256, thumbnail_sha256 FROM intake.attachment
                WHERE report_id = \(report) AND district_id = \(district)
                  AND source_sha256 = \(picture.sourceSHA256)
                """,
            ])
            return try rows.last?.first.map {
                Stored(sha256: try $0.decode(0), thumbnailSHA256: try $0.decode(1))
            }
        }
    }

    private func insert(_ blob: StoredPicture) -> SQL {
        """
        INSERT INTO intake.blob (sha256, content_type, bytes, width, height)
        VALUES (\(blob.sha256), 'image/jpeg', \(blob.bytes), \(blob.width), \(blob.height))
        ON CONFLICT (sha256) DO NOTHING
        """
    }

    /// The pictures that a digest names for a reader of these districts (and of this report, if one is given).
    func find(_ sha256: String, districts: [UUID], report: Report.ID?) async throws -> Stored? {
        let only: SQL = if let report { "AND report_id = \(report)" } else { "" }
        let rows = try await database.query(
            """
            SELECT sha256, thumbnail_sha256 FROM intake.attachment
            WHERE (sha256 = \(sha256) OR thumbnail_sha256 = \(sha256)) AND district_id = ANY(\(districts)) \(only)
            LIMIT 1
            """, scope: .districts(districts))
        return try rows.first.map { Stored(sha256: try $0.decode(0), thumbnailSHA256: try $0.decode(1)) }
    }

    /// Which of these pictures a photo names. For the background role, which sees every district.
    func named(_ digests: [String]) async throws -> Set<String> {
        let rows = try await database.query(
            """
            SELECT sha256 FROM intake.attachment WHERE sha256 = ANY (\(digests))
            UNION
            SELECT thumbnail_sha256 FROM intake.attachment WHERE thumbnail_sha256 = ANY (\(digests))
            """)
        return Set(try rows.column(String.self))
    }
}
