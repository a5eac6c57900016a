public import FoundationEssentials
import Model
public import Postgres
import ServiceLifecycle

/// Reads the histories of the other services: to catch up with what the queue dropped, and to rebuild the ledger beside
/// the live one and compare.
public struct Ledger: Sendable {
    static let batch = 500

    let database: PostgresClient

    /// - Parameter database: of a background role.
    public init(database: PostgresClient) {
        self.database = database
    }

    /// What a comparison found.
    public struct Comparison: Sendable, Codable, Hashable {
        public struct Difference: Sendable, Codable, Hashable {
            public var what: String
            public var whereFound: String
            public var id: UUID
            public var detail: String
        }

        public var live: Int
        public var rebuilt: Int
        public var liveCases: Int
        public var rebuiltCases: Int
        /// The first hundred of each kind.
        public var differences: [Difference]

        public var isEqual: Bool { differences.isEmpty }
    }

    // MARK: Catching up

    /// Reads each history from its mark to the present horizon. What the ledger has already changes nothing.
    /// - Returns: how many history rows were read.
    @discardableResult
    public func catchUp() async throws -> Int {
        var read = 0
        for source in HistoryStore.sources {
            let row = try await database.query(HistoryStore.horizon(source))[0]
            let (horizon, mark) = try row.decode((String, String).self)
            read += try await copy(source, from: mark, to: horizon, into: .live) { _ in }
            _ = try await database.query(HistoryStore.mark(source, horizon))
        }
        return read
    }

    // MARK: Rebuilding

    /// Writes the whole ledger anew beside the live one, from the histories alone.
    /// - Parameter progress: history rows read so far.
    /// - Returns: how many history rows were read.
    @discardableResult
    public func rebuild(progress: @Sendable (Int) async -> Void = { _ in }) async throws -> Int {
        _ = try await database.segment(HistoryStore.emptyRebuilt)
        var read = 0
        for source in HistoryStore.sources {
            let horizon = try await database.query(HistoryStore.horizon(source))[0].decode("horizon", as: String.self)
            let before = read
            read += try await copy(source, from: "0", to: horizon, into: .rebuilt) { await progress(before + $0) }
        }
        return read
    }

    /// Brings the live ledger up to the histories, rebuilds, and names what differs.
    public func compare(progress: @Sendable (Int) async -> Void = { _ in }) async throws -> Comparison {
        try await rebuild(progress: progress)
        // Afterwards, so that the live ledger has at least what the rebuild saw; what came since is only live, and a
        // second look at a quiet moment settles it.
        try await catchUp()
        let answers = try await database.segment([HistoryStore.counts, HistoryStore.differences(limit: 100)])
        let (live, rebuilt, liveCases, rebuiltCases) = try answers[0][0].decode((Int, Int, Int, Int).self)
        return Comparison(
            live: live, rebuilt: rebuilt, liveCases: liveCases, rebuiltCases: rebuiltCases,
            differences: try answers[1].map { row in
                let (what, whereFound, id, detail) = try row.decode((String, String, UUID, String).self)
                return Comparison.Difference(what: what, whereFound: whereFound, id: id, detail: detail)
            })
    }

    // MARK: Copying

    private func copy(
        _ source: ServiceName, from mark: String, to horizon: String, into store: LedgerStore,
        progress: (Int) async -> Void
    ) async throws -> Int {
        var after: (tx: String, id: UUID)?
        var read = 0
        while true {
            try Task.checkCancellation()
            let rows = try await database.query(
                HistoryStore.rows(source, from: mark, to: horizon, after: after, limit: Self.batch))
            guard let last = rows.last else { return read }
            let events = try rows.compactMap { try HistoryStore.event($0, source: source) }
            if !events.isEmpty { _ = try await database.segment(try store.write(events)) }
            after = (try last.decode("tx"), try last.decode("id"))
            read += rows.count
            await progress(read)
            if rows.count < Self.batch { return read }
        }
    }
}
