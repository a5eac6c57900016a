import Postgres

/// The tables of scoring that are kept by month besides its history, which the messaging's own upkeep looks after.
enum PartitionStore {
    static let tables = ["scoring.evidence"]

    /// Makes what is missing; answers how many months ahead of the present one are ready.
    static func ensure(_ table: String) -> SQL {
        "SELECT sluice.ensure_month_partitions(\(table)::text::regclass) AS ahead"
    }
}
