import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// What imports of areas and of responsibility share: rows are staged as texts and then written in one transaction with
/// their announcements, so that whoever reads the map sees the old one or the new one. A run that is cut off has written
/// nothing, and the worker closes it.
struct RegisterRun: Sendable {
    let id: UUID
    let database: PostgresClient
    let messaging: Messaging

    /// Makes the run, fills it and writes it; closes it with a word on it if any of that fails.
    /// - Parameters:
    ///   - opening: the run's row.
    ///   - fill: stages the rows and answers how many there are.
    ///   - write: writes them and says what came of it.
    func run(
        opening: SQL, fill: () async throws -> Int,
        write: (_ transaction: PostgresTransaction, _ rows: Int) async throws -> Written
    ) async throws -> ImportCounts {
        _ = try await database.query(opening)
        do {
            let rows = try await fill()
            guard rows > 0 else { throw FeatureImporter.Failure.empty }
            let done = try await database.transaction { transaction in
                _ = try await transaction.query(RegisterImportStore.oneAtATime)
                let written = try await write(transaction, rows)
                guard written.counts.read == rows else { throw FeatureImporter.Failure.failed(reason: Self.lost) }
                try await transaction.commit(
                    messaging.announce(written.announcements)
                        + RegisterImportStore.finish(id, rows: rows, written.counts))
                return written
            }
            messaging.committed(done.announcements)
            return done.counts
        } catch {
            let failure = Self.failure(error)
            let reason = failure.map(Self.reason) ?? "it was cut off before anything was written"
            // Whether or not that can be noted, what went wrong first is what counts.
            _ = try? await database.segment(RegisterImportStore.abandon(id, reason: reason))
            throw failure ?? error
        }
    }

    /// Stages rows behind those that are there.
    func stage(_ texts: [String], behind staged: Int) async throws -> Int {
        let rows = texts.enumerated().map { offset, text -> [(any PostgresEncodable)?] in
            // PostgreSQL's text has no zero byte.
            [id, staged + offset + 1, text.filter { $0 != "\0" }]
        }
        return try await database.copyIn(
            table: "gis.import_staging", columns: ["import_id", "row_number", "feature"], rows: rows)
    }

    struct Written: Sendable {
        var counts = ImportCounts()
        var announcements: [Announcement] = []
    }

    private static let lost = "the staged rows were lost in a restart of the database; send the file again"

    /// What a person can do something about; nil for a failure of the moment, which is passed on as it is.
    private static func failure(_ error: any Error) -> FeatureImporter.Failure? {
        switch error {
        case let problem as FeatureSplitter.Problem: .unreadable(problem)
        case let failure as FeatureImporter.Failure: failure
        case let error as PostgresError where error.isOfTheRows: .failed(reason: error.message)
        default: nil
        }
    }

    private static func reason(_ failure: FeatureImporter.Failure) -> String {
        if case .failed(let reason) = failure { return reason }
        return "\(failure)"
    }
}
