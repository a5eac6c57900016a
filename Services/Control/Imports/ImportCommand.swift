internal import ArgumentParser
internal import FoundationEssentials
internal import GISSyncService
internal import Model
internal import Outbox
internal import ServiceKit

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take areas, who answers for them, or facilities into the register.",
        discussion: """
            AREAS (--kind district, street, grid, community, special) come from a GeoJSON FeatureCollection in CRS84 with \
            the properties code, name_zh, name_en, parent (the code of the area around), community_type and tags; options \
            name other properties. Districts first, then streets, grids, communities, special places. They are found \
            again by kind and code.

            RESPONSIBILITY (--kind responsibility) comes from a CSV file with the columns level, code, person_name, from \
            and, if wanted, person_id, until, deputising_for. It is found again by area, person and beginning.

            FACILITIES (--kind pipe, manhole, gully, outfall, tank, pump) come from a GeoJSON FeatureCollection in CRS84. \
            Which property holds what is said once, by a profile: a JSON file or --id and the options below. They are \
            found again by source, kind and id.

            Every row is validated; rows that are wrong are refused one by one, with a reason each, and the rest goes \
            in. A second import of the same file changes nothing.
            """)

    @Argument(help: "The GeoJSON or CSV file.")
    var file: String

    @Option(help: "What is in the file.")
    var kind: ImportKind?

    @OptionGroup(title: "Facilities")
    var facilities: FacilityOptions

    @OptionGroup(title: "Areas")
    var areas: AreaOptions

    @Option(help: "Responsibility: where a day begins; SLUICE_TIME_ZONE, else Asia/Shanghai, without it.")
    var timeZone: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        var isOfAreas = false
        var isOfPeople = false
        switch kind {
        case .areas: isOfAreas = true
        case .responsibility: isOfPeople = true
        case .facilities, nil: try facilities.check(hasKind: kind != nil)
        }
        if isOfAreas || isOfPeople, facilities.areGiven {
            throw ValidationError("--district and the properties of facilities are for facilities")
        }
        if areas.areGiven, !isOfAreas { throw ValidationError("the properties of areas are for areas") }
        if timeZone != nil, !isOfPeople { throw ValidationError("--time-zone is for responsibility") }
    }

    struct Result: Encodable {
        var importID: String
        var read: Int
        var added: Int
        var changed: Int
        var same: Int
        var refused: Int
        /// The first of them.
        var issues: [ImportIssue]

        private enum CodingKeys: String, CodingKey {
            case read, added, changed, same, refused, issues
            case importID = "import_id"
        }

        init(_ id: UUID, _ counts: ImportCounts, issues: [ImportIssue]) {
            importID = id.uuidString.lowercased()
            read = counts.read
            added = counts.added
            changed = counts.changed
            same = counts.same
            refused = counts.refused
            self.issues = issues
        }
    }

    func run() async throws {
        let take = try reading()
        let progress = ImportProgress(output)
        let result = try await ControlDatabase.use { database in
            let messaging = Messaging(service: .gisSync, sources: .system)
            let id = messaging.sources.randomUUID(messaging.sources.now())
            let counts: ImportCounts
            do {
                counts = try await take(id, database, messaging, progress)
                await progress.finish()
            } catch let failure as FeatureImporter.Failure {
                throw failure.problem
            }
            let importer = FeatureImporter(database: database.client, messaging: messaging)
            return Result(id, counts, issues: try await importer.issues(id, limit: 200))
        }
        try output.show(
            result,
            """
            \(result.read) read: \(result.added) added, \(result.changed) changed, \(result.same) the same, \
            \(result.refused) refused.
            """ + result.issues.map { "\n  row \($0.row), \($0.field): \($0.severity), \($0.detail)" }.joined())
        if result.refused > 0 { throw Findings() }
    }

    private typealias Take = @Sendable (UUID, ControlDatabase, Messaging, ImportProgress) async throws -> ImportCounts

    /// Reads what can be read before the database is asked for, and answers what to do with it there.
    private func reading() throws -> Take {
        switch kind {
        case .areas(let level): try readingAreas(level)
        case .responsibility: try readingResponsibility()
        case .facilities(let kind): try readingFacilities(kind)
        case nil: try readingFacilities(nil)
        }
    }

    private func readingAreas(_ level: PlaceLevel) throws -> Take {
        let profile = areas.profile(level)
        let chunks = try FileChunks(file)
        return { id, database, messaging, progress in
            let importer = AreaImporter(database: database.client, messaging: messaging)
            return try await importer.run(id, profile: profile, startedBy: ControlDatabase.actor, pieces: chunks) {
                done, all in
                await progress.reached(done, of: all)
            }
        }
    }

    private func readingResponsibility() throws -> Take {
        let lines = try ResponsibilityFile(path: file).lines
        let wanted = timeZone
        return { id, database, messaging, _ in
            let zone = try wanted ?? database.settings.reader.text("SLUICE_TIME_ZONE") ?? "Asia/Shanghai"
            let importer = ResponsibilityImporter(database: database.client, messaging: messaging)
            guard try await importer.knows(timeZone: zone) else {
                throw CommandFailure("there is no time zone \(zone)")
            }
            return try await importer.run(id, lines: lines, timeZone: zone, startedBy: ControlDatabase.actor)
        }
    }

    private func readingFacilities(_ kind: FacilityKind?) throws -> Take {
        let profile = try facilities.readProfile(kind)
        let chunks = try FileChunks(file)
        let district = facilities.district ?? ""
        return { id, database, messaging, progress in
            guard let home = try await DistrictCodes(database: database).ids(of: [district]).first else {
                throw CommandFailure("there is no district \(district)")
            }
            let importer = FeatureImporter(database: database.client, messaging: messaging)
            let staged = try await importer.stage(
                id, district: home, profile: profile, startedBy: ControlDatabase.actor, pieces: chunks)
            try await importer.start(id, rows: staged)
            await progress.reached(0, of: staged)
            // The service may be at the same run meanwhile.
            return try await importer.run(id) { done, all in await progress.reached(done, of: all) }
        }
    }
}

/// Rows done become steps of the bar.
private actor ImportProgress {
    private let output: OutputOptions
    private var bar: ProgressBar?
    private var done = 0

    init(_ output: OutputOptions) {
        self.output = output
    }

    func reached(_ count: Int, of total: Int) {
        let shown = bar ?? output.bar("Import", total: total)
        bar = shown
        shown.advance(by: max(0, count - done))
        done = max(done, count)
    }

    func finish() {
        bar?.finish()
    }
}
