public import Foundation
public import Model
public import Postgres
import ServiceKit
import Synchronization

/// A city after some months: twenty thousand of everything that grows, so that the planner decides as it would in
/// production, and a log of every plan.
public struct BigCity: Sendable {
    public let stage: ServiceStage
    /// Tables that grow with the days, partitions by their own names. Registers (crews, areas, contacts) are smaller.
    public let bigTables: Set<String>
    private let log: URL
    private let database: String

    /// Everything is the tenth of one of these, as `report` 20,000 is of the district 0.
    public static func district(_ number: Int) -> District.ID { District.ID(id("d", number)) }

    /// What `BigCitySeed` calls the number-th of a kind without a time.
    public static func id(_ kind: Character, _ number: Int) -> UUID {
        let text = "0000000\(kind)-0000-7000-8000-" + String(format: "%012d", number)
        return UUID(uuidString: text) ?? UUID()
    }

    /// One test at a time: the log is the whole database's.
    public static func with<T: Sendable>(
        _ service: ServiceName, _ body: @Sendable (BigCity) async throws -> T
    ) async throws -> T {
        let server = try PrivatePostgres.apart()
        let database = try await server.bigDatabase()
        return try await ServiceStage.with(service, on: server, database: database) { stage in
            let tables = try await stage.admin.rows(
                """
                SELECT relnamespace::regnamespace || '.' || relname FROM pg_class
                WHERE relkind = 'r' AND reltuples >= 5000
                """)
            return try await body(
                BigCity(
                    stage: stage, bigTables: Set(tables.compactMap { $0[0] }), log: server.logFile, database: database))
        }
    }

    public func one(_ query: String) async throws -> UUID {
        let rows = try await stage.admin.rows(query)
        guard let id = rows.first?[0].flatMap({ UUID(uuidString: $0) }) else { throw NothingFound() }
        return id
    }

    public struct NothingFound: Error {}

    /// What the server did while `work` ran.
    public func plans(_ work: () async throws -> Void) async throws -> [LoggedPlan] {
        let log = try PlanLog(file: log, database: database)
        try await work()
        return try log.plans()
    }

    /// Five times a connection plans with the values in sight; then it may settle on a plan without them.
    public static let runs = 7

    /// Runs each statement often enough for that, and takes back what it wrote.
    public func plans(
        of statements: [SQL], before: [SQL] = [], on client: PostgresClient, scope: DistrictScope
    ) async throws -> [LoggedPlan] {
        try await plans {
            for statement in statements {
                for _ in 0..<Self.runs {
                    do {
                        try await client.transaction(scope: scope) { transaction in
                            for first in before { _ = try await transaction.query(first) }
                            _ = try await transaction.query(statement)
                            throw TakenBack()
                        }
                    } catch is TakenBack {}
                }
            }
        }
    }

    private struct TakenBack: Error {}
}

extension PrivatePostgres {
    private static let big = Mutex<Task<String, any Error>?>(nil)

    /// Made once, which takes some seconds.
    func bigDatabase() async throws -> String {
        let making = Self.big.withLock { task in
            if let task { return task }
            let started = Task {
                let name = try await copiedDatabase()
                let connection = try await open("postgres", database: name)
                for script in BigCitySeed.scripts { try await connection.run(script) }
                try await connection.run("VACUUM ANALYZE")
                for setting in PlanLog.settings { try await connection.run("ALTER DATABASE \(name) SET \(setting)") }
                return name
            }
            task = started
            return started
        }
        return try await making.value
    }
}
