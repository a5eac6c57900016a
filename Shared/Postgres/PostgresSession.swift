/// An exclusive connection, for what needs one: several segments in a row, scripts, COPY, streams.
public final class PostgresSession: Sendable {
    let core: ClientCore
    let lease: ClientCore.Lease

    init(core: ClientCore, lease: ClientCore.Lease) {
        self.core = core
        self.lease = lease
    }

    /// One transaction as one trip, as `PostgresClient.segment`, but it may wait for locks.
    @discardableResult
    public func segment(_ statements: [SQL], scope: DistrictScope = .all) async throws -> [Rows] {
        for (index, statement) in statements.enumerated() where statement.controlsTransaction {
            throw PostgresError(.encoding, "transaction control has no place in a segment", statementIndex: index)
        }
        guard !statements.isEmpty else { return [] }
        let opening = scope.statement.map { [$0] } ?? []
        return try await core.trip(opening + statements, preamble: opening.count, on: lease, commitIndex: nil)
    }

    @discardableResult
    public func query(_ sql: SQL, scope: DistrictScope = .all) async throws -> Rows {
        try await segment([sql], scope: scope)[0]
    }

    /// Several statements in one text, from a file of the program: a migration. Without BEGIN and COMMIT of its own it
    /// is one transaction.
    ///
    /// - Parameter deadline: after it the connection is dropped; a migration may take longer than a query.
    /// - Throws: `PostgresError`; `.unknownOutcome` if the connection was lost before the script was answered.
    public func script(_ text: String, deadline: Duration = .seconds(3600)) async throws {
        guard !text.utf8.contains(0) else { throw PostgresError(.encoding, "a script has a zero byte") }
        guard case .done = try await core.open(text, isScript: true, patience: deadline, on: lease) else {
            core.abandon(lease)
            throw PostgresError(.encoding, "COPY has no place in a script")
        }
    }

    /// Rows into a table by COPY; see `PostgresClient.copyIn`.
    @discardableResult
    public nonisolated(nonsending) func copyIn(
        table: String, columns: [String], rows: some Sequence<[(any PostgresEncodable)?]>
    ) async throws -> Int {
        try await CopyIn(core: core, lease: lease, table: table, columns: columns).send(rows)
    }

    @discardableResult
    public nonisolated(nonsending) func copyIn<Source: AsyncSequence>(
        table: String, columns: [String], rows: Source
    ) async throws -> Int where Source.Element == [(any PostgresEncodable)?] {
        try await CopyIn(core: core, lease: lease, table: table, columns: columns).send(rows)
    }

    /// `COPY … TO STDOUT` in chunks of whole rows, as fast as `body` takes them.
    public nonisolated(nonsending) func copyOut(
        _ sql: SQL, _ body: (_ chunk: [UInt8]) async throws -> Void
    ) async throws {
        guard sql.parameters.isEmpty else { throw PostgresError(.encoding, "COPY takes no parameters") }
        guard case .copyOut = try await core.open(sql.text, on: lease) else {
            core.abandon(lease)
            throw PostgresError(.encoding, "the statement is no COPY … TO STDOUT")
        }
        do {
            while let chunk = try await core.receiveCopy(on: lease) { try await body(chunk) }
        } catch {
            // The rest of the rows would have to be read; the connection is cheaper.
            core.abandonExchange(of: lease)
            throw error
        }
    }

    /// The rows of a query, `batch` at a time, from one snapshot; memory holds one batch only.
    public nonisolated(nonsending) func stream(
        _ sql: SQL, scope: DistrictScope = .all, batch: Int = 500, _ body: (Rows) async throws -> Void
    ) async throws {
        let transaction = PostgresTransaction(
            core: core, lease: lease, scope: scope, isolation: .repeatableReadOnly)
        try await transaction.stream(sql, batch: batch, body)
        try await transaction.commit()
    }
}

extension PostgresTransaction {
    /// The rows of a query, `batch` at a time, by a cursor of this transaction.
    public nonisolated(nonsending) func stream(
        _ sql: SQL, batch: Int = 500, _ body: (Rows) async throws -> Void
    ) async throws {
        let fetch = SQL(unsafe: "FETCH \(max(1, batch)) FROM sluice_cursor")
        var rows = try await send(["DECLARE sluice_cursor NO SCROLL CURSOR FOR " + sql, fetch])[1]
        while !rows.isEmpty {
            try await body(rows)
            rows = try await query(fetch)
        }
        try await query("CLOSE sluice_cursor")
    }

    /// Rows into a table by COPY, in this transaction.
    @discardableResult
    public nonisolated(nonsending) func copyIn(
        table: String, columns: [String], rows: some Sequence<[(any PostgresEncodable)?]>
    ) async throws -> Int {
        try await send([])
        return try await CopyIn(core: core, lease: lease, table: table, columns: columns).send(rows)
    }
}

extension PostgresClient {
    /// Rows into a table by COPY on an exclusive connection, all or none.
    ///
    /// - Parameters:
    ///   - table: `schema.table`; both names are quoted.
    ///   - rows: taken as fast as the server takes them; one value a column.
    /// - Returns: how many rows were written.
    @discardableResult
    public nonisolated(nonsending) func copyIn(
        table: String, columns: [String], rows: some Sequence<[(any PostgresEncodable)?]>
    ) async throws -> Int {
        try await withExclusive { try await $0.copyIn(table: table, columns: columns, rows: rows) }
    }

    @discardableResult
    public nonisolated(nonsending) func copyIn<Source: AsyncSequence>(
        table: String, columns: [String], rows: Source
    ) async throws -> Int where Source.Element == [(any PostgresEncodable)?] {
        try await withExclusive { try await $0.copyIn(table: table, columns: columns, rows: rows) }
    }
}
