import Model
import Synchronization

/// Wakes the sender of a lane. A ring that nobody waits for is kept, once.
final class SendBell: Sendable {
    private struct State {
        var isRung = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let emergency = Mutex(State())
    private let routine = Mutex(State())

    func ring(_ lane: Lane) {
        with(lane) { state in
            state.isRung = true
            state.waiter?.resume()
            state.waiter = nil
        }
    }

    /// Whether a ring is kept for the next wait.
    func isRung(_ lane: Lane) -> Bool {
        switch lane {
        case .emergency: emergency.withLock(\.isRung)
        case .routine: routine.withLock(\.isRung)
        }
    }

    /// Returns at the next ring, at once if one was kept, or when the time is over. One waiter a lane.
    func wait(for lane: Lane, atMost pause: Duration) async {
        let timer = Task {
            // A timer that is no longer wanted must not ring: the next wait would end at once, and so on for ever.
            do { try await Task.sleep(for: pause) } catch { return }
            ring(lane)
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                with(lane) { state in
                    if state.isRung {
                        continuation.resume()
                    } else {
                        state.waiter?.resume()
                        state.waiter = continuation
                    }
                }
            }
        } onCancel: {
            ring(lane)
        }
        timer.cancel()
        with(lane) { $0.isRung = false }
    }

    private func with(_ lane: Lane, _ body: (inout State) -> Void) {
        switch lane {
        case .emergency: emergency.withLock { body(&$0) }
        case .routine: routine.withLock { body(&$0) }
        }
    }
}
