import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import ScoringService

@Suite("The ledger's upkeep", .serialized)
struct UpkeepTests {
    /// Tables that are kept by month.
    private static let monthly = """
        SELECT DISTINCT p.relnamespace::regnamespace || '.' || p.relname
        FROM pg_class p
        JOIN pg_inherits i ON i.inhparent = p.oid
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE p.relkind = 'p' AND c.relname ~ '_y[0-9]{4}m[0-9]{2}$'
        """

    @Test("makes the partitions that are missing")
    func partitions() async throws {
        try await ServiceStage.with(.scoring) { stage in
            func months() async throws -> [String] {
                try await stage.admin.rows(
                    """
                    SELECT inhrelid::regclass::text FROM pg_inherits
                    WHERE inhparent = 'scoring.evidence'::regclass AND inhrelid::regclass::text ~ 'm[0-9]{2}$' ORDER BY 1
                    """
                ).compactMap { $0[0] }
            }
            let before = try await months()
            let furthest = try #require(before.last)
            try await stage.admin.run("DROP TABLE \(furthest)")
            #expect(try await months() == Array(before.dropLast()))
            try await LedgerUpkeep(database: stage.context.background, logger: stage.context.logger).makePartitions()
            #expect(try await months() == before)
        }
    }

    @Test("every table that is kept by month is looked after by a service")
    func everyTable() async throws {
        try await ServiceStage.with(.scoring) { stage in
            let tables = try await stage.admin.rows(Self.monthly).compactMap { $0[0] }
            #expect(Set(tables).isSuperset(of: PartitionStore.tables))
            // Where services make partitions; each one's history is looked after by what all of them share.
            let makers = try SourceFiles.ofServices().map(\.text).filter { $0.contains("ensure_month_partitions") }
            for table in tables where !table.hasSuffix(".history") {
                #expect(makers.contains { $0.contains(table) }, "nobody makes the partitions of \(table)")
            }
        }
    }
}
