import Logging
import Postgres
import ServiceLifecycle

/// Each hour: partitions of the ledger for the coming months.
struct LedgerUpkeep: Service {
    let database: PostgresClient
    let logger: Logger
    var pause: Duration = .seconds(3_600)

    func run() async throws {
        // Not at the very start, when everything else wants the database.
        try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(5)) }
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            do {
                try await makePartitions()
            } catch {
                logger.warning("partitions of the ledger cannot be made", metadata: ["error": "\(error)"])
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: pause) }
        }
    }

    func makePartitions() async throws {
        for table in PartitionStore.tables {
            let ahead = try await database.query(PartitionStore.ensure(table)).first?.decode("ahead", as: Int.self) ?? 0
            if ahead < 2 {
                logger.critical(
                    "fewer than two months of partitions are ready",
                    metadata: ["table": "\(table)", "months": "\(ahead)"])
            }
        }
    }
}
