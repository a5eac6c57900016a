/// "There is something to do": many may wake, one waits. A wake while nobody waits is kept, and many are one.
final class WakeSignal: Sendable {
    private struct State {
        var isPending = false
        var waiter: (id: UInt64, continuation: CheckedContinuation<Void, Never>)?
        var nextID: UInt64 = 0
    }

    private let state = Mutexed(State())

    func wake() {
        let waiter = state.withLock { state in
            guard let waiter = state.waiter else {
                state.isPending = true
                return nil as CheckedContinuation<Void, Never>?
            }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume()
    }

    /// Takes a wake that has already come, without waiting.
    func takePending() -> Bool {
        state.withLock { state in
            defer { state.isPending = false }
            return state.isPending
        }
    }

    /// Returns when woken, when the time is over, or when the task is cancelled.
    func wait(upTo limit: Duration) async {
        if takePending() { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }

    private func wait() async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let resumeAtOnce = state.withLock { state in
                    guard !state.isPending, !Task.isCancelled else {
                        state.isPending = false
                        return [continuation]
                    }
                    // Only one may wait; an earlier waiter would otherwise be lost.
                    let earlier = state.waiter?.continuation
                    state.waiter = (id, continuation)
                    return earlier.map { [$0] } ?? []
                }
                for continuation in resumeAtOnce { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
                guard let waiter = state.waiter, waiter.id == id else { return nil }
                state.waiter = nil
                return waiter.continuation
            }
            waiter?.resume()
        }
    }
}
