public import Logging
public import ServiceLifecycle

/// Connections to one database, for any number of callers.
///
/// Two kinds: *shared* ones take whole transactions as single pipelined trips from many callers at once (`segment`);
/// *exclusive* ones belong to one caller at a time (`transaction`, `withExclusive`). `run()` opens and keeps them.
public final class PostgresClient: Service, Sendable {
    public let name: String
    public let configuration: PostgresConfiguration
    let core: ClientCore
    private let listeners = Locked(Listeners())

    private struct Listeners {
        var isClosed = false
        var active: [ObjectIdentifier: ListenerCore] = [:]
    }

    /// - Parameters:
    ///   - shared: connections for segments; a handful serves thousands of callers.
    ///   - exclusive: connections for transactions, COPY and streams, and for segments that must wait for a lock.
    ///   - reactor: the thread it lives on; may be shared with other clients.
    public init(
        configuration: PostgresConfiguration, shared: Int, exclusive: Int, reactor: PostgresReactor, name: String,
        logger: Logger
    ) {
        precondition(shared >= 0 && exclusive >= 0 && shared + exclusive > 0, "a client needs connections")
        self.name = name
        self.configuration = configuration
        core = ClientCore(
            configuration: configuration, shared: shared, exclusive: exclusive, reactor: reactor, name: name,
            logger: logger)
    }

    public var health: PostgresHealth { core.health.withLock { $0 } }

    /// Opens the connections and keeps them open until a graceful shutdown: then what is under way is finished and the
    /// connections are closed. Cancellation does the same.
    public func run() async throws {
        core.onReactor { $0.start() }
        await cancelWhenGracefulShutdown {
            // Ends by cancellation only.
            let (never, end) = AsyncStream.makeStream(of: Never.self)
            for await _ in never {}
            _ = end
        }
        await shutDown()
    }

    /// Finishes what is under way and closes; never takes longer than the query deadline. Later calls fail as `.closed`.
    public func shutDown() async {
        let open = listeners.withLock { listeners in
            listeners.isClosed = true
            defer { listeners.active = [:] }
            return Array(listeners.active.values)
        }
        for listener in open { listener.stop() }
        await withCheckedContinuation { continuation in
            core.onReactor { $0.shutDown(continuation) }
        }
    }

    // MARK: Segments

    /// One transaction as one pipelined trip, on a connection shared with others. It is committed by its end and
    /// stands or falls as a whole; the answers come in the statements' order, once the commit is known.
    ///
    /// The statements must not contain BEGIN, COMMIT, LISTEN, COPY or session settings. If a lock keeps them waiting
    /// longer than `sharedLockTimeout` all of them run again on an exclusive connection.
    ///
    /// - Throws: `PostgresError`. After `.unknownOutcome` run the same segment again under the same key.
    @discardableResult
    public func segment(_ statements: [SQL], scope: DistrictScope = .all) async throws -> [Rows] {
        try await segment(statements, scope: scope, waitsForLocks: true)
    }

    /// - Parameter waitsForLocks: false throws `isLockTimeout` where the statements would otherwise run again.
    func segment(_ statements: [SQL], scope: DistrictScope, waitsForLocks: Bool) async throws -> [Rows] {
        for (index, statement) in statements.enumerated() where statement.controlsTransaction {
            throw PostgresError(.encoding, "transaction control has no place in a segment", statementIndex: index)
        }
        guard !statements.isEmpty else { return [] }
        let opening = scope.statement.map { [$0] } ?? []
        return try await core.trip(opening + statements, preamble: opening.count, waitsForLocks: waitsForLocks)
    }

    /// A segment of one statement.
    @discardableResult
    public func query(_ sql: SQL, scope: DistrictScope = .all) async throws -> Rows {
        try await segment([sql], scope: scope)[0]
    }

    // MARK: Transactions

    /// A decision: an exclusive connection from BEGIN to COMMIT. BEGIN and the scope travel with the first `send`, so
    /// a decision needs two trips. If `body` throws, ROLLBACK follows and the error is passed on; if it returns
    /// without `commit`, COMMIT is sent. `body` runs a second time if a prepared statement turned out stale.
    public nonisolated(nonsending) func transaction<T: Sendable>(
        scope: DistrictScope = .all, isolation: TransactionIsolation = .readCommitted,
        _ body: (PostgresTransaction) async throws -> T
    ) async throws -> T {
        var hasRunAgain = false
        while true {
            let lease = try await core.acquire()
            let transaction = PostgresTransaction(core: core, lease: lease, scope: scope, isolation: isolation)
            do {
                let value = try await body(transaction)
                try await transaction.finish()
                core.release(lease)
                return value
            } catch {
                let failure = transaction.close()
                if Task.isCancelled { core.release(lease) } else { await core.releaseAndRest(lease) }
                guard failure?.isStalePlan == true, !hasRunAgain, !Task.isCancelled else { throw error }
                hasRunAgain = true
            }
        }
    }

    /// A connection of one's own for scripts, COPY and streams.
    public nonisolated(nonsending) func withExclusive<T: Sendable>(
        _ body: (PostgresSession) async throws -> T
    ) async throws -> T {
        let lease = try await core.acquire()
        do {
            let value = try await body(PostgresSession(core: core, lease: lease))
            core.release(lease)
            return value
        } catch {
            if Task.isCancelled { core.release(lease) } else { await core.releaseAndRest(lease) }
            throw error
        }
    }

    // MARK: LISTEN

    /// Notifications on these channels, on a connection of its own that is kept until the stream is dropped.
    ///
    /// Every (re)connect gives `.listening` after LISTEN has taken effect: reread then, since what was notified before
    /// is gone. The session is probed every two seconds; when it is dead `.degraded` comes first, then, after a
    /// reconnect, `.listening`. A notification is a hint: a reader that falls far behind loses the oldest.
    public func listen(_ channels: [String]) -> AsyncStream<ListenEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: ListenEvent.self, bufferingPolicy: .bufferingNewest(1024))
        let listener = ListenerCore(
            channels: channels, configuration: configuration, reactor: core.reactor, name: name, logger: core.logger,
            continuation: continuation)
        let isOpen = listeners.withLock { listeners in
            if !listeners.isClosed { listeners.active[ObjectIdentifier(listener)] = listener }
            return !listeners.isClosed
        }
        guard isOpen else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            listener.stop()
            self?.listeners.withLock { $0.active[ObjectIdentifier(listener)] = nil }
        }
        listener.start()
        return stream
    }

    // MARK: Upkeep

    /// Proves that the server takes writes, by one that goes through the log and is flushed.
    public func proveWritable() async throws {
        _ = try await query("SELECT pg_logical_emit_message(true, 'sluice', '')")
        let now = ContinuousClock.now
        core.health.withLock { $0.lastWrite = now }
    }

    /// Ends sessions of our own role whose transaction hangs half-sent (their client stopped or vanished): no time-out
    /// of the server does that, and their locks would stay. A COPY waits for its client in the same way and is spared.
    ///
    /// - Returns: how many were ended.
    public func endHalfSentTransactions(olderThan age: Duration = .seconds(2)) async throws -> Int {
        try await query(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE usename = current_user AND pid <> pg_backend_pid() AND state = 'active'
              AND wait_event = 'ClientRead' AND query NOT ILIKE 'COPY%'
              AND xact_start < clock_timestamp() - \(age)
            """
        ).count
    }
}

extension SQL {
    /// Begins with a word that would open or end a transaction under the feet of others on the connection.
    var controlsTransaction: Bool {
        let word = text.utf8.drop { $0 <= 32 }.prefix { $0 | 32 >= UInt8(ascii: "a") && $0 | 32 <= UInt8(ascii: "z") }
        guard (3...9).contains(word.count), let first = word.first else { return false }
        // The first letters of BEGIN, START, COMMIT, END, ROLLBACK, ABORT, SAVEPOINT, PREPARE.
        guard "bscerap".utf8.contains(first | 32) else { return false }
        return ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "prepare"]
            .contains(String(decoding: word.map { $0 | 32 }, as: UTF8.self))
    }
}
