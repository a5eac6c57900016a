import Synchronization

/// The calls of other tasks, brought to the reactor's thread and answered there.
extension ClientCore {
    nonisolated func onReactor(_ body: @escaping @Sendable (isolated ClientCore) -> Void) {
        reactor.execute { self.assumeIsolated { body($0) } }
    }

    /// Runs the statements as one trip up to its sync: on any shared connection, or on the one that is leased.
    nonisolated func trip(
        _ statements: [SQL], preamble: Int, on lease: Lease? = nil, commitIndex: Int? = nil, waitsForLocks: Bool = true
    ) async throws -> [Rows] {
        for (index, statement) in statements.enumerated() { try statement.checked(index: index - preamble) }
        let ticket = Ticket()
        let submitted = ContinuousClock.now
        let patience = configuration.queryDeadline
        defer { ticket.received() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<[Rows], any Error>) in
                onReactor { core in
                    let trip = Trip(
                        lease == nil ? .segment : .lease, statements, preamble: preamble, commitIndex: commitIndex,
                        ticket: ticket, submitted: submitted, patience: patience, waitsForLocks: waitsForLocks
                    ) { result in
                        ticket.answered()
                        continuation.resume(with: result.mapError { $0 })
                    }
                    if let lease { core.submit(trip, on: lease) } else { core.enqueue(trip) }
                }
            }
        } onCancel: {
            ticket.isCancelled.store(true, ordering: .releasing)
            onReactor { $0.cancel(ticket) }
        }
    }

    nonisolated func acquire() async throws -> Lease {
        let ticket = Ticket()
        let submitted = ContinuousClock.now
        let waitsUntil = submitted + configuration.queryDeadline
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                onReactor {
                    $0.enqueue(
                        LeaseWaiter(
                            ticket: ticket, waitsUntil: waitsUntil, submitted: submitted, continuation: continuation))
                }
            }
        } onCancel: {
            ticket.isCancelled.store(true, ordering: .releasing)
            onReactor { $0.cancel(ticket) }
        }
    }

    nonisolated func release(_ lease: Lease) {
        onReactor { $0.release(lease, waiter: nil) }
    }

    /// Returns once the connection is at rest: what the work had locked is free again.
    nonisolated func releaseAndRest(_ lease: Lease) async {
        await withCheckedContinuation { continuation in
            onReactor { $0.release(lease, waiter: continuation) }
        }
    }

    /// Gives up the leased connection at once; the server rolls back.
    nonisolated func abandon(_ lease: Lease) {
        onReactor { core in
            guard core.session(of: lease) != nil else { return }
            core.lost(lease.place, PostgresError(.cancelled, "its user gave the connection up"), fatal: nil)
            core.settle()
        }
    }

    /// The same if a COPY or a script has not ended.
    nonisolated func abandonExchange(of lease: Lease) {
        onReactor { core in
            guard let session = core.session(of: lease), !session.exchange.isNone else { return }
            core.lost(lease.place, PostgresError(.cancelled, "its user gave the connection up"), fatal: nil)
            core.settle()
        }
    }

    // MARK: Scripts and COPY

    nonisolated func open(
        _ text: String, isScript: Bool = false, patience: Duration? = nil, on lease: Lease
    ) async throws -> Exchange.Opening {
        let patience = patience ?? configuration.queryDeadline
        return try await step(on: lease) { session, answer in
            session.begin(text, isScript: isScript, patience: patience, completion: answer)
        }
    }

    nonisolated func send(_ bytes: [UInt8], on lease: Lease) async throws {
        let patience = configuration.queryDeadline
        try await step(on: lease) { session, answer in session.send(bytes, patience: patience, completion: answer) }
    }

    nonisolated func endCopy(failure: String?, on lease: Lease) async throws -> Int {
        // The server now checks what it only collected before: foreign keys, triggers.
        let patience = configuration.queryDeadline * 10
        return try await step(on: lease) { session, answer in
            session.endCopy(failure: failure, patience: patience, completion: answer)
        }
    }

    nonisolated func receiveCopy(on lease: Lease) async throws -> [UInt8]? {
        let patience = configuration.queryDeadline
        return try await step(on: lease) { session, answer in
            session.receiveCopy(patience: patience, completion: answer)
        }
    }

    /// A cancelled caller loses the connection: half a COPY cannot be taken back otherwise.
    private nonisolated func step<T: Sendable>(
        on lease: Lease,
        _ body: @escaping @Sendable (Session, @escaping (Result<T, PostgresError>) -> Void) -> Void
    ) async throws -> T {
        let ticket = Ticket()
        defer { ticket.received() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
                onReactor { core in
                    let isHeld = core.exchange(on: lease) { session in
                        body(session) { result in
                            ticket.answered()
                            continuation.resume(with: result.mapError { $0 })
                        }
                    }
                    if !isHeld { continuation.resume(throwing: PostgresError.leaseLost) }
                }
            }
        } onCancel: {
            abandon(lease)
        }
    }
}
