internal import ArgumentParser
internal import FoundationEssentials
internal import GISSyncService
internal import Glibc
internal import Model
internal import Outbox
internal import ServiceKit

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take facilities from a GeoJSON file into the register.",
        discussion: """
            The file is a FeatureCollection in CRS84; one that names other coordinates is refused. Which property holds what is said once, by a profile: a JSON file or \
            --id and the options below. Every row is validated; rows that are wrong are refused one by one, with a reason \
            each, and the rest goes in. Facilities are found again by source, kind and id, so a second import of the same \
            file changes nothing.
            """)

    @Argument(help: "The GeoJSON file.")
    var file: String

    @Option(help: "Code of the district that the facilities belong to.")
    var district: String

    @Option(help: "A JSON file with source, kind, system, id, diameterMillimetres and so on.")
    var profile: String?

    @Option(help: "Name of the source, such as a survey.")
    var source: String?

    @Option(help: "pipe, manhole, gully, outfall, tank or pump.")
    var kind: FacilityKind?

    @Option(help: "storm, sewage or combined.")
    var system: PipeSystem?

    @Option(help: "The property that identifies a feature.")
    var id: String?

    @Option(help: "The property with the diameter in millimetres.")
    var diameter: String?

    @Option(help: "The property with the length in metres.")
    var length: String?

    @Option(help: "The property with the upstream node.")
    var upNode: String?

    @Option(help: "The property with the downstream node.")
    var downNode: String?

    @Option(help: "The property with the upstream invert in metres.")
    var upInvert: String?

    @Option(help: "The property with the downstream invert in metres.")
    var downInvert: String?

    @Option(help: "The property with the material.")
    var material: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard profile != nil || (source != nil && kind != nil && id != nil) else {
            throw ValidationError("give --profile, or --source, --kind and --id")
        }
        if let source, !ImportProfile.isSource(source) { throw ValidationError("--source has 1 to 64 characters") }
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
    }

    func run() async throws {
        let profile = try readProfile()
        let chunks = try FileChunks(file)
        let counts = try await ControlDatabase.use { database in
            guard let home = try await DistrictCodes(database: database).ids(of: [district]).first else {
                throw CommandFailure("there is no district \(district)")
            }
            let sources = Sources.system
            let importer = FeatureImporter(
                database: database.client, messaging: Messaging(service: .gisSync, sources: sources))
            let id = sources.randomUUID(sources.now())
            let counts: ImportCounts
            do {
                let staged = try await importer.stage(
                    id, district: home, profile: profile, startedBy: ControlDatabase.actor, pieces: chunks)
                try await importer.start(id, rows: staged)
                let bar = output.bar("Import", total: staged)
                let seen = ImportProgress(bar)
                // The service may be at the same run meanwhile.
                counts = try await importer.run(id) { done, _ in await seen.reached(done) }
                bar.finish()
            } catch let failure as FeatureImporter.Failure {
                throw failure.problem
            }
            return Result(
                importID: id.uuidString.lowercased(), read: counts.read, added: counts.added, changed: counts.changed,
                same: counts.same, refused: counts.refused, issues: try await importer.issues(id, limit: 200))
        }
        try output.show(
            counts,
            """
            \(counts.read) read: \(counts.added) added, \(counts.changed) changed, \(counts.same) the same, \
            \(counts.refused) refused.
            """ + counts.issues.map { "\n  row \($0.row), \($0.field): \($0.severity), \($0.detail)" }.joined())
        if counts.refused > 0 { throw Findings() }
    }

    private func readProfile() throws -> ImportProfile {
        if let profile {
            guard let data = try? Data(contentsOf: URL(filePath: profile)) else {
                throw CommandFailure("\(profile) cannot be read")
            }
            do {
                return try JSONDecoder().decode(ImportProfile.self, from: data)
            } catch {
                throw CommandFailure("\(profile) is no import profile: it needs source, kind and id")
            }
        }
        guard let source, let kind, let id else { throw CommandFailure("source, kind and id are needed") }
        return ImportProfile(
            source: source, kind: kind, system: system, id: id, diameterMillimetres: diameter, lengthMetres: length,
            upNode: upNode, downNode: downNode, upInvertMetres: upInvert, downInvertMetres: downInvert,
            material: material)
    }
}

/// Rows done become steps of the bar.
private actor ImportProgress {
    private let bar: ProgressBar
    private var done = 0

    init(_ bar: ProgressBar) {
        self.bar = bar
    }

    func reached(_ count: Int) {
        bar.advance(by: max(0, count - done))
        done = max(done, count)
    }
}

/// A file in pieces, so that a large one is never in memory whole.
private struct FileChunks: Sequence, Sendable {
    let path: String
    static let size = 1 << 18

    init(_ path: String) throws {
        guard access(path, R_OK) == 0 else { throw CommandFailure("\(path) cannot be read") }
        self.path = path
    }

    func makeIterator() -> AnyIterator<[UInt8]> {
        let reader = FileReader(path)
        return AnyIterator { reader.next() }
    }
}

private final class FileReader {
    private let descriptor: Int32

    init(_ path: String) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    func next() -> [UInt8]? {
        guard descriptor >= 0 else { return nil }
        let bytes = [UInt8](unsafeUninitializedCapacity: FileChunks.size) { buffer, count in
            count = Swift.max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        return bytes.isEmpty ? nil : bytes
    }
}
