import DequeModule
import NIOConcurrencyHelpers
import NIOCore

/// Deliveries between the event loop that receives them and the tasks that take them. The consumer's prefetch bounds it.
final class DeliveryBuffer: Sendable {
    private struct Waiter {
        let id: UInt64
        let most: Int
        let continuation: CheckedContinuation<[AMQPDelivery], Never>
    }

    private struct State {
        var deliveries: Deque<AMQPDelivery> = []
        var waiters: Deque<Waiter> = []
        var isFinished = false
        var lastID: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())

    /// Puts deliveries in line and wakes who waits for them, oldest first.
    func push(_ deliveries: [AMQPDelivery]) {
        let served = state.withLockedValue { state -> [(Waiter, [AMQPDelivery])] in
            guard !state.isFinished else { return [] }
            state.deliveries.append(contentsOf: deliveries)
            var served: [(Waiter, [AMQPDelivery])] = []
            while !state.deliveries.isEmpty, let waiter = state.waiters.popFirst() {
                served.append((waiter, Self.take(waiter.most, from: &state.deliveries)))
            }
            return served
        }
        for (waiter, batch) in served { waiter.continuation.resume(returning: batch) }
    }

    /// Takes back what nobody has taken, oldest first.
    func discard() -> [AMQPDelivery] {
        state.withLockedValue {
            let left = Array($0.deliveries)
            $0.deliveries = []
            return left
        }
    }

    /// Ends the line: takes back what nobody has taken, and tells everybody who waits.
    func finish() -> [AMQPDelivery] {
        let (left, waiters) = state.withLockedValue {
            $0.isFinished = true
            let left = Array($0.deliveries)
            let waiters = Array($0.waiters)
            $0.deliveries = []
            $0.waiters = []
            return (left, waiters)
        }
        for waiter in waiters { waiter.continuation.resume(returning: []) }
        return left
    }

    var isFinished: Bool { state.withLockedValue { $0.isFinished } }

    /// Up to `most` deliveries as soon as there is one; none if the time is up, the task is cancelled or the line ended.
    func next(_ most: Int, within time: Duration?, on eventLoop: any EventLoop) async -> [AMQPDelivery] {
        let (ready, id) = state.withLockedValue { state in
            state.lastID += 1
            return (Self.take(most, from: &state.deliveries), state.lastID)
        }
        guard ready.isEmpty, !isFinished, time != .zero else { return ready }
        var timer: Scheduled<Void>?
        defer { timer?.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let batch = state.withLockedValue { state -> [AMQPDelivery]? in
                    if state.isFinished || Task.isCancelled { return [] }
                    if !state.deliveries.isEmpty { return Self.take(most, from: &state.deliveries) }
                    state.waiters.append(Waiter(id: id, most: most, continuation: continuation))
                    return nil
                }
                if let batch {
                    continuation.resume(returning: batch)
                } else if let time {
                    // Not before it is in line: a timer that finds nobody there would leave it waiting without end.
                    timer = eventLoop.scheduleTask(in: TimeAmount(time)) { self.giveUp(id) }
                }
            }
        } onCancel: {
            giveUp(id)
        }
    }

    private func giveUp(_ id: UInt64) {
        let waiter = state.withLockedValue { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: [])
    }

    private static func take(_ most: Int, from deliveries: inout Deque<AMQPDelivery>) -> [AMQPDelivery] {
        let batch = Array(deliveries.prefix(most))
        deliveries.removeFirst(batch.count)
        return batch
    }
}
