public import FoundationEssentials
import Model
public import Outbox
public import Postgres
import Rules

/// Takes a FeatureCollection of areas into the register: districts first, then their streets, grids, communities and
/// special places. The whole file is one transaction, with an announcement for each area that was added or changed.
public struct AreaImporter: Sendable {
    /// Rows a statement.
    static let chunk = 500

    /// More areas than any city has; the register is in every intake's memory.
    static let limit = 100_000

    /// A district's border along a coast may be long.
    static let featureLimit = 16 << 20

    let database: PostgresClient
    let messaging: Messaging

    public init(database: PostgresClient, messaging: Messaging) {
        self.database = database
        self.messaging = messaging
    }

    /// - Parameters:
    ///   - pieces: the document's bytes in pieces of any size.
    ///   - progress: rows done and rows in all.
    /// - Throws: `FeatureImporter.Failure` for what stops the import as a whole; then nothing has been written.
    public func run(
        _ id: UUID, profile: AreaProfile, startedBy: String, pieces: some Sequence<[UInt8]>,
        progress: @Sendable (_ done: Int, _ of: Int) async -> Void = { _, _ in }
    ) async throws -> ImportCounts {
        let run = RegisterRun(id: id, database: database, messaging: messaging)
        return try await run.run(
            opening: RegisterImportStore.open(
                id, kind: profile.level.rawValue, source: "areas", profile: try JSONB.json(profile),
                startedBy: startedBy)
        ) {
            var splitter = FeatureSplitter(featureLimit: Self.featureLimit)
            var staged = 0
            for piece in pieces {
                let features = try splitter.take(piece)
                guard staged + features.count <= Self.limit else {
                    throw FeatureImporter.Failure.tooMany(limit: Self.limit)
                }
                guard !features.isEmpty else { continue }
                staged += try await run.stage(features.map { String(decoding: $0, as: UTF8.self) }, behind: staged)
            }
            try splitter.finish()
            return staged
        } write: { transaction, rows in
            var written = RegisterRun.Written()
            for after in stride(from: 0, to: rows, by: Self.chunk) {
                let through = min(after + Self.chunk, rows)
                let answer = try await transaction.query(
                    AreaImportStore.writeChunk(id, profile, after: after, through: through))
                guard let row = answer.first else { break }
                let (read, refused, added, changed, areas) = try row.decode((Int, Int, Int, Int, JSONB).self)
                written.counts.read += read
                written.counts.refused += refused
                written.counts.added += added
                written.counts.changed += changed
                written.announcements += try announcements(areas.decode([WrittenArea].self), profile.level)
                await progress(through, rows)
            }
            return written
        }
    }

    private struct WrittenArea: Decodable {
        var id: UUID
        var version: Int
        var district: District.ID
        var code: String
    }

    private func announcements(_ areas: [WrittenArea], _ level: PlaceLevel) throws -> [Announcement] {
        let now = messaging.sources.now()
        return try areas.map { area in
            let snapshot = PlaceSnapshot(
                placeID: Identifier(area.id), version: area.version, districtID: area.district, level: level,
                code: area.code)
            let event = Event(
                id: Identifier(messaging.sources.randomUUID(now)), source: .gisSync, type: .placeChanged, time: now,
                district: area.district, aggregateID: area.id, aggregateVersion: area.version, lane: .routine,
                data: try JSONBytes.encode(snapshot))
            return Announcement(event: event, actor: "import")
        }
    }
}
