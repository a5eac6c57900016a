public import FoundationEssentials
import Logging
public import Model
public import Outbox
public import Postgres
public import Rules

/// Takes a FeatureCollection into the register: stages its features, then validates and writes them in chunks, each a
/// transaction of its own with its announcements. A chunk that is repeated changes nothing; a run that was cut off goes
/// on where it stopped.
public struct FeatureImporter: Sendable {
    /// Rows a transaction: short enough that nobody waits for its locks, long enough that the commit does not matter.
    static let chunk = 500

    /// So many rows that the database does not take, one behind the other: it is not the rows.
    static let hopeless = 20

    /// How often somebody who waits for a run looks how far it is.
    static let look: Duration = .milliseconds(200)

    let database: PostgresClient
    let messaging: Messaging
    /// By which chunks leave room for the emergency lane, as all routine work does.
    let flow: FlowControl
    /// The service that we are part of keeps `flow` up to date; a command has nobody else who would.
    private let followsItself: Bool
    /// Stands still for so long between two chunks.
    var rest: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }

    /// - Parameter flow: the service's; without it the lane is followed while a run is carried on by `run`.
    public init(database: PostgresClient, messaging: Messaging, flow: FlowControl? = nil) {
        self.database = database
        self.messaging = messaging
        self.flow =
            flow
            ?? FlowControl(database: database, logger: Logger(label: "imports") { _ in SwiftLogNoOpLogHandler() })
        self.followsItself = flow == nil
    }

    /// What stops an import as a whole. Single rows that are wrong do not; they become issues of the run.
    public enum Failure: Error, Equatable, Sendable {
        case unreadable(FeatureSplitter.Problem)
        case empty
        case tooMany(limit: Int)
        /// A source has 1 to 64 characters.
        case unfitSource
        /// The id is none of a district.
        case noDistrict
        /// There is no such run, or it was never started.
        case unknownRun
        /// The run is over and not whole, for instance because the database lost the staged rows in a crash.
        case failed(reason: String)
    }

    /// What was wrong with rows of a run, in their order.
    public func issues(_ id: UUID, limit: Int) async throws -> [ImportIssue] {
        try await database.query(ImportStore.issues(id, limit: limit)).map(ImportIssue.init)
    }

    // MARK: Staging

    /// Opens a run and stages the features; the run does not start before `start`. Throws `Failure` for what no run can
    /// be made of.
    /// - Parameter pieces: the document's bytes in pieces of any size.
    /// - Returns: how many features were staged.
    public func stage(
        _ id: UUID, district: District.ID, profile: ImportProfile, startedBy: String, pieces: some Sequence<[UInt8]>,
        limit: Int = 2_000_000
    ) async throws -> Int {
        guard ImportProfile.isSource(profile.source) else { throw Failure.unfitSource }
        let opened = try await database.query(
            try ImportStore.open(id, district: district, profile: profile, startedBy: startedBy))
        guard !opened.isEmpty else { throw Failure.noDistrict }
        var splitter = FeatureSplitter()
        var staged = 0
        do {
            for piece in pieces {
                let features = try splitter.take(piece)
                guard staged + features.count <= limit else { throw Failure.tooMany(limit: limit) }
                guard !features.isEmpty else { continue }
                let rows = features.enumerated().map { offset, bytes -> [(any PostgresEncodable)?] in
                    // PostgreSQL's text has no zero byte; the row will be refused as unreadable, as it should.
                    let text = String(decoding: bytes, as: UTF8.self).filter { $0 != "\0" }
                    return [id, staged + offset + 1, text]
                }
                staged += try await database.copyIn(
                    table: "gis.import_staging", columns: ["import_id", "row_number", "feature"], rows: rows)
            }
            try splitter.finish()
            guard staged > 0 else { throw Failure.empty }
        } catch {
            let failure = (error as? FeatureSplitter.Problem).map(Failure.unreadable)
            _ = try await database.segment(ImportStore.close(id, error: failure.map { "\($0)" } ?? "staging failed"))
            throw failure ?? error
        }
        return staged
    }

    /// Lets a staged run go.
    public func start(_ id: UUID, rows: Int) async throws {
        _ = try await database.query(ImportStore.start(id, rows: rows))
    }

    // MARK: Running

    /// Carries a run on to its end. Several callers may: one at a time has the run, and the others wait with it.
    /// - Parameter progress: rows done and rows in all, after each chunk and while others are at it.
    /// - Returns: the counts of the whole run, whoever wrote its rows.
    /// - Throws: `Failure` if the run was never started, or is over and not whole.
    @discardableResult
    public func run(
        _ id: UUID, progress: @Sendable (_ done: Int, _ of: Int) async -> Void = { _, _ in }
    ) async throws -> ImportCounts {
        try await withThrowingTaskGroup(of: Void.self) { group in
            if followsItself { group.addTask { [flow] in try await flow.run() } }
            defer { group.cancelAll() }
            return try await end(of: id, progress: progress)
        }
    }

    private func end(
        of id: UUID, progress: @Sendable (_ done: Int, _ of: Int) async -> Void
    ) async throws -> ImportCounts {
        while true {
            try await carryOn(id, progress: progress)
            guard let row = try await database.query(ImportStore.standing(id)).first else { throw Failure.unknownRun }
            switch try row.decode("state", as: String.self) {
            case "done":
                return ImportCounts(
                    read: try row.decode("rows_read"), added: try row.decode("rows_added"),
                    changed: try row.decode("rows_changed"), refused: try row.decode("rows_refused"))
            case "failed":
                throw Failure.failed(reason: try row.decode("error", as: String?.self) ?? "no reason was kept")
            case "running":
                await progress(try row.decode("done_through"), try row.decode("rows_staged"))
                try await Task.sleep(for: Self.look)
            default: throw Failure.unknownRun
            }
        }
    }

    /// Carries a run on until it is over, or somebody else is at it. Rows that the database does not take are found by
    /// smaller and smaller chunks and refused, so that they take none of their neighbours along. Rests between chunks, with
    /// nothing locked, for as long as the emergency lane asks.
    func carryOn(
        _ id: UUID, progress: @Sendable (_ done: Int, _ of: Int) async -> Void = { _, _ in }
    ) async throws {
        var size = Self.chunk
        var refusedInARow = 0
        while true {
            let began = ContinuousClock.now
            let reached: Step?
            do {
                guard let step = try await runChunk(id, size: size) else { return }
                reached = step
                size = min(size * 2, Self.chunk)
                refusedInARow = 0
            } catch let failure as Unwritable {
                guard size == 1 else {
                    size /= 2
                    continue
                }
                refusedInARow += 1
                guard refusedInARow < Self.hopeless else {
                    return try await giveUp(id, "the database takes no more of the rows: \(failure.reason)")
                }
                reached = try await refuseRow(of: id, failure)
            }
            guard let step = reached else { continue }
            await progress(step.doneThrough, step.staged)
            if step.doneThrough >= step.staged { return }
            try await rest(flow.rest(after: began.duration(to: .now)))
        }
    }

    /// What one chunk did.
    struct Step: Sendable {
        var counts: ImportCounts
        var doneThrough: Int
        var staged: Int
    }

    /// The rows behind `after` cannot be written as they are, now or later.
    private struct Unwritable: Error {
        var after: Int
        var reason: String
    }

    /// The next chunk of a run; nil if the run is over or somebody else is at it.
    func runChunk(_ id: UUID, size: Int = FeatureImporter.chunk) async throws -> Step? {
        let done: (step: Step, announcements: [Announcement])? = try await database.transaction { transaction in
            guard let row = try await transaction.query(ImportStore.take(id)).first else { return nil }
            let (district, profileText, staged, doneThrough) = try row.decode((UUID, JSONB, Int, Int).self)
            let profile = try profileText.decode(ImportProfile.self)
            let through = min(doneThrough + size, staged)
            let written: Rows
            do {
                written = try await transaction.query(
                    ImportStore.writeChunk(
                        id, district: District.ID(district), profile: profile, after: doneThrough, through: through))
            } catch let error as PostgresError where error.isOfTheRows {
                throw Unwritable(after: doneThrough, reason: error.message)
            }
            guard let answer = written.first else { return nil }
            let (read, refused, added, changed, facilities) = try answer.decode((Int, Int, Int, Int, JSONB).self)
            let counts = ImportCounts(read: read, added: added, changed: changed, refused: refused)
            guard read == through - doneThrough else {
                // Committed as a failed run: what earlier chunks wrote stays, and the run says that it is not whole.
                try await transaction.commit(
                    ImportStore.close(
                        id, error: "the staged rows were lost in a restart of the database; send the file again"))
                return nil
            }
            let announcements = try announce(
                try facilities.decode([WrittenFacility].self), district: District.ID(district), kind: profile.kind)
            let ending = through == staged ? ImportStore.close(id, error: nil) : []
            try await transaction.commit(
                messaging.announce(announcements) + [ImportStore.count(id, counts, through: through)] + ending)
            return (Step(counts: counts, doneThrough: through, staged: staged), announcements)
        }
        guard let done else { return nil }
        messaging.committed(done.announcements)
        return done.step
    }

    /// Passes over one row with a word on it; nil if the run is no longer where the row was met.
    private func refuseRow(of id: UUID, _ failure: Unwritable) async throws -> Step? {
        try await database.transaction { transaction in
            guard let row = try await transaction.query(ImportStore.take(id)).first else { return nil }
            let (district, _, staged, doneThrough) = try row.decode((UUID, JSONB, Int, Int).self)
            guard doneThrough == failure.after else { return nil }
            let through = doneThrough + 1
            let counts = ImportCounts(read: 1, refused: 1)
            let ending = through == staged ? ImportStore.close(id, error: nil) : []
            try await transaction.commit(
                [
                    ImportStore.refuse(
                        id, district: District.ID(district), row: through,
                        reason: "the database does not take this row: \(failure.reason)"),
                    ImportStore.count(id, counts, through: through),
                ] + ending)
            return Step(counts: counts, doneThrough: through, staged: staged)
        }
    }

    /// Ends a run as failed, unless somebody else is at it.
    private func giveUp(_ id: UUID, _ reason: String) async throws {
        try await database.transaction { transaction in
            guard try await transaction.query(ImportStore.take(id)).first != nil else { return }
            try await transaction.commit(ImportStore.close(id, error: reason))
        }
    }

    private struct WrittenFacility: Decodable {
        var id: UUID
        var version: Int
        var code: String
    }

    private func announce(
        _ facilities: [WrittenFacility], district: District.ID, kind: FacilityKind
    ) throws -> [Announcement] {
        let now = messaging.sources.now()
        return try facilities.map { facility in
            let snapshot = PlaceSnapshot(
                placeID: Identifier(facility.id), version: facility.version, districtID: district, facilityKind: kind,
                code: facility.code)
            let event = Event(
                id: Identifier(messaging.sources.randomUUID(now)), source: .gisSync, type: .facilityChanged, time: now,
                district: district, aggregateID: facility.id, aggregateVersion: facility.version, lane: .routine,
                data: try JSONBytes.encode(snapshot))
            return Announcement(event: event, actor: "import")
        }
    }
}

extension PostgresError {
    /// What was to be written is at fault, not the server nor the moment: the same rows would fail each time. PostGIS
    /// says internal_error (XX000) of a geometry that it cannot work with.
    var isOfTheRows: Bool {
        guard kind == .server, let sqlState else { return false }
        return sqlState == "XX000" || ["22", "23", "54"].contains(sqlState.prefix(2))
    }
}
