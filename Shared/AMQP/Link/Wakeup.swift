import NIOCore

/// One waiter, on one event loop, that is woken by a ring or by time. A ring that finds nobody is kept for the next.
final class Wakeup {
    private let eventLoop: any EventLoop
    private var waiter: CheckedContinuation<Void, Never>?
    private var timer: Scheduled<Void>?
    private var rang = false

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func ring() {
        guard let waiter else {
            rang = true
            return
        }
        self.waiter = nil
        timer?.cancel()
        timer = nil
        waiter.resume()
    }

    /// Forgets a ring that nobody heard.
    func reset() { rang = false }

    /// Returns at the next ring, at once if one is kept, or after `time`.
    func wait(for time: TimeAmount? = nil, isolation: isolated (any Actor)? = #isolation) async {
        guard !rang else {
            rang = false
            return
        }
        await withCheckedContinuation { continuation in
            waiter = continuation
            guard let time else { return }
            timer = eventLoop.assumeIsolated().scheduleTask(in: time) { self.ring() }
        }
    }
}
