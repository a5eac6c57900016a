import Model
import Postgres
import Rules

/// The levels of senders' budgets, shared by all instances. The table is unlogged and its transactions wait for no disk,
/// so that asking costs an emergency a fraction of a millisecond.
struct BudgetStore: Sendable {
    let database: PostgresClient

    /// Adds one report to each bucket and answers the levels that follow; nil for a bucket that was not asked for.
    func spend(device: [UInt8]?, prefix: [UInt8]?, budget: SenderBudget) async throws -> (
        device: Double?, prefix: Double?
    ) {
        var statements: [SQL] = []
        if let device { statements.append(add(device, drain: budget.device.drainPerSecond)) }
        // Always the device first: two reports at once then wait for each other in one order.
        if let prefix { statements.append(add(prefix, drain: budget.prefix.drainPerSecond)) }
        guard !statements.isEmpty else { return (nil, nil) }
        let rows = try await database.segment(
            ["SELECT set_config('synchronous_commit', 'off', true)"] + statements)
        var levels = try rows.dropFirst().map { try $0.first?.decode(0, as: Double.self) }[...]
        return (device == nil ? nil : levels.popFirst() ?? nil, prefix == nil ? nil : levels.popFirst() ?? nil)
    }

    /// Takes back what one report added.
    func giveBack(device: [UInt8], prefix: [UInt8]?) async throws {
        let buckets = [device] + (prefix.map { [$0] } ?? [])
        let updates = buckets.map { bucket -> SQL in
            "UPDATE intake.sender_level SET level = greatest(0, level - 1) WHERE bucket = \(bucket)"
        }
        _ = try await database.segment(["SELECT set_config('synchronous_commit', 'off', true)"] + updates)
    }

    /// Buckets that have been empty for long say nothing any more.
    func purge() async throws {
        _ = try await database.query("DELETE FROM intake.sender_level WHERE at < now() - interval '2 days'")
    }

    private func add(_ bucket: [UInt8], drain: Double) -> SQL {
        // Bounded, so that a flood does not condemn its address for a year.
        """
        INSERT INTO intake.sender_level AS l (bucket, level, at) VALUES (\(bucket), 1, clock_timestamp())
        ON CONFLICT (bucket) DO UPDATE SET
            level = least(1000, 1 + greatest(
                0, l.level - \(drain) * extract(epoch FROM clock_timestamp() - l.at)::double precision)),
            at = clock_timestamp()
        RETURNING level
        """
    }
}
