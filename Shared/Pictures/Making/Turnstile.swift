import Synchronization

/// Lets `width` callers work at once; the others wait in order, at most `capacity` of them, and each for as long as it
/// has patience.
final class Turnstile: Sendable {
    /// More are waiting than is sensible, or it takes longer than the caller waits; come back in a few seconds.
    struct Busy: Error {}

    private struct State {
        var free: Int
        var nextTicket = 0
        var waiting: [(ticket: Int, continuation: CheckedContinuation<Void, any Error>)] = []
        /// Cancelled before they began to wait.
        var cancelled: Set<Int> = []
    }

    private let state: Mutex<State>
    private let capacity: Int

    init(width: Int, capacity: Int = 64) {
        self.state = Mutex(State(free: width))
        self.capacity = capacity
    }

    /// - Parameter patience: how long to wait for a turn; without end if nil.
    func run<Success>(
        within patience: Duration? = nil, _ work: () async throws -> sending Success
    ) async throws -> sending Success {
        try await enter(within: patience)
        defer { leave() }
        return try await work()
    }

    private func enter(within patience: Duration?) async throws {
        let ticket = state.withLock { state in
            state.nextTicket += 1
            return state.nextTicket
        }
        var alarm: Task<Void, Never>?
        defer { alarm?.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    if state.cancelled.remove(ticket) != nil { return .failure(CancellationError()) }
                    if state.free > 0 {
                        state.free -= 1
                        return .success(())
                    }
                    if state.waiting.count >= capacity { return .failure(Busy()) }
                    state.waiting.append((ticket, continuation))
                    return nil
                }
                if let outcome {
                    continuation.resume(with: outcome)
                } else if let patience {
                    alarm = Task {
                        try? await Task.sleep(for: patience)
                        // Nobody, if it has its turn by now.
                        let waiter = self.state.withLock { Self.remove(ticket, from: &$0) }
                        waiter?.resume(throwing: Busy())
                    }
                }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Void, any Error>? in
                guard let waiter = Self.remove(ticket, from: &state) else {
                    state.cancelled.insert(ticket)
                    return nil
                }
                return waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
        state.withLock { _ = $0.cancelled.remove(ticket) }
    }

    private static func remove(_ ticket: Int, from state: inout State) -> CheckedContinuation<Void, any Error>? {
        guard let index = state.waiting.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return state.waiting.remove(at: index).continuation
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst().continuation }
            state.free += 1
            return nil
        }
        next?.resume()
    }
}
