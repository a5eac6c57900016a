public import FoundationEssentials
import Model
public import Outbox
public import Postgres

/// Takes a list of who answers for which area, from when to when, into the register. The whole list is one transaction;
/// a row that gives an area two people at one moment is refused alone.
public struct ResponsibilityImporter: Sendable {
    /// Each row is tried on its own.
    static let limit = 50_000

    let database: PostgresClient
    let messaging: Messaging

    public init(database: PostgresClient, messaging: Messaging) {
        self.database = database
        self.messaging = messaging
    }

    /// One row as it stands in the file, nothing read of it yet; nil where there is nothing.
    public struct Line: Codable, Sendable, Hashable {
        public var level: String?
        public var code: String?
        public var personID: String?
        public var personName: String?
        public var from: String?
        public var until: String?
        public var deputisingFor: String?

        public init(
            level: String? = nil, code: String? = nil, personID: String? = nil, personName: String? = nil,
            from: String? = nil, until: String? = nil, deputisingFor: String? = nil
        ) {
            self.level = level
            self.code = code
            self.personID = personID
            self.personName = personName
            self.from = from
            self.until = until
            self.deputisingFor = deputisingFor
        }

        enum CodingKeys: String, CodingKey {
            case level, code, from, until
            case personID = "person_id"
            case personName = "person_name"
            case deputisingFor = "deputising_for"
        }
    }

    private struct Profile: Encodable {
        var timeZone: String
    }

    /// Whether the database can tell when a day begins there.
    public func knows(timeZone: String) async throws -> Bool {
        let answer = try await database.query(ResponsibilityStore.isKnown(timeZone: timeZone))
        return try answer.column(Bool.self).first ?? false
    }

    /// - Parameter timeZone: of the city's calendar, where a day begins.
    /// - Throws: `FeatureImporter.Failure` for what stops the import as a whole; then nothing has been written.
    public func run(_ id: UUID, lines: [Line], timeZone: String, startedBy: String) async throws -> ImportCounts {
        guard lines.count <= Self.limit else { throw FeatureImporter.Failure.tooMany(limit: Self.limit) }
        let run = RegisterRun(id: id, database: database, messaging: messaging)
        return try await run.run(
            opening: RegisterImportStore.open(
                id, kind: "responsibility", source: "responsibility",
                profile: try JSONB.json(Profile(timeZone: timeZone)), startedBy: startedBy)
        ) {
            let texts = try lines.map { try JSONB.json($0).text }
            guard !texts.isEmpty else { return 0 }
            return try await run.stage(texts, behind: 0)
        } write: { transaction, _ in
            let answer = try await transaction.query(ResponsibilityStore.write(id, timeZone: timeZone))
            guard let row = answer.first else { return RegisterRun.Written() }
            let (read, refused, added, changed) = try row.decode((Int, Int, Int, Int).self)
            return RegisterRun.Written(
                counts: ImportCounts(read: read, added: added, changed: changed, refused: refused))
        }
    }
}
