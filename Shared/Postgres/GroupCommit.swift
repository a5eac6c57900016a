public import FoundationEssentials

/// Segments of independent callers that share one COMMIT: while `width` groups are under way, later callers gather, and
/// go together as soon as one ends. A caller who is alone goes at once. Each flush of the log serves a whole group, so
/// throughput does not end at the disk's flushes a second times the connections.
///
/// Nobody suffers from a neighbour: a group that the server refuses, or that meets a lock, is run again, each caller's
/// segment by itself, and keeps no later group waiting meanwhile. Within a group the scope is the union of its callers'
/// districts; every statement still says its own.
public final class GroupCommit: Sendable {
    private struct Entry: Sendable {
        var id: UInt64
        var waitsUntil: ContinuousClock.Instant
        var statements: [SQL]
        var districts: [UUID]
        var continuation: CheckedContinuation<[Rows], any Error>
    }

    private struct State: Sendable {
        var waiting: [Entry] = []
        var running = 0
        var lastID: UInt64 = 0
    }

    private let client: PostgresClient
    private let width: Int
    private let most: Int
    private let state = Locked(State())

    /// - Parameters:
    ///   - width: groups under way at once; as many as the client has shared connections.
    ///   - most: segments of one group.
    public init(_ client: PostgresClient, width: Int = 2, most: Int = 64) {
        precondition(width > 0 && most > 0)
        self.client = client
        self.width = width
        self.most = most
    }

    /// As `PostgresClient.segment`, with the same errors. Who has waited in line for the query deadline goes no further;
    /// who is cancelled in line is not written.
    public func segment(_ statements: [SQL], districts: [UUID]) async throws -> [Rows] {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let entry = Entry(
                    id: id, waitsUntil: .now + client.configuration.queryDeadline, statements: statements,
                    districts: districts, continuation: continuation)
                let isCancelled = state.withLock { state in
                    // The handler below may have run before there was anything to take out of the line.
                    if Task.isCancelled { return true }
                    state.waiting.append(entry)
                    return false
                }
                if isCancelled { continuation.resume(throwing: PostgresError.cancelledByCaller) } else { start() }
            }
        } onCancel: {
            let entry = state.withLock { state -> Entry? in
                guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiting.remove(at: index)
            }
            entry?.continuation.resume(throwing: PostgresError.cancelledByCaller)
        }
    }

    private func start() {
        let (late, group): ([Entry], [Entry]) = state.withLock { state in
            guard state.running < width else { return ([], []) }
            let now = ContinuousClock.now
            // First come, first due.
            let late = Array(state.waiting.prefix { $0.waitsUntil <= now })
            state.waiting.removeFirst(late.count)
            let group = Array(state.waiting.prefix(most))
            state.waiting.removeFirst(group.count)
            if !group.isEmpty { state.running += 1 }
            return (late, group)
        }
        for entry in late { entry.continuation.resume(throwing: PostgresError.waitedTooLong) }
        guard !group.isEmpty else { return }
        Task {
            let apart = await run(group)
            state.withLock { $0.running -= 1 }
            start()
            // No group waits for these: one that meets a lock may take as long as a statement may.
            await withTaskGroup(of: Void.self) { tasks in
                for entry in apart { tasks.addTask { await self.runAlone(entry) } }
            }
        }
    }

    /// - Returns: those who have no answer yet and are to be run by themselves; none of their work has happened.
    private func run(_ group: [Entry]) async -> [Entry] {
        let districts = Array(Set(group.flatMap(\.districts))).sorted()
        do {
            let answers = try await client.segment(
                group.flatMap(\.statements), scope: .districts(districts), waitsForLocks: false)
            var first = 0
            for entry in group {
                entry.continuation.resume(returning: Array(answers[first..<first + entry.statements.count]))
                first += entry.statements.count
            }
            return []
        } catch let error as PostgresError where error.isLockTimeout || group.count > 1 && Self.isRefusal(error) {
            return group
        } catch {
            // Not one of them is at fault, and nobody may go on as if nothing had been written.
            for entry in group { entry.continuation.resume(throwing: error) }
            return []
        }
    }

    /// The server has certainly done nothing, and one of the statements may be the reason.
    private static func isRefusal(_ error: PostgresError) -> Bool {
        switch error.kind {
        case .connection, .unknownOutcome, .readOnly, .closed, .cancelled: false
        // Found before anything was sent.
        case .encoding: true
        // Without a word of the server it is the deadline in the line for a connection.
        case .server, .timeout, .skipped, .decoding: error.sqlState != nil
        }
    }

    private func runAlone(_ entry: Entry) async {
        do {
            entry.continuation.resume(
                returning: try await client.segment(entry.statements, scope: .districts(entry.districts)))
        } catch {
            entry.continuation.resume(throwing: error)
        }
    }
}
