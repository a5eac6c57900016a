import NIOConcurrencyHelpers
import NIOCore

/// What is known of a connection, readable from anywhere without waiting for the event loop.
final class StatusBoard: Sendable {
    struct Status: Sendable {
        var state: ConnectionState = .disconnected(reason: "not started")
        var unconfirmed = 0
        var isAttached = false
        var isMeant = true
        /// Why a consumer that is meant is not attached.
        var obstacle: String?
    }

    private let status = NIOLockedValueBox(Status())

    var current: Status { status.withLockedValue { $0 } }

    func update(_ change: (inout Status) -> Void) { status.withLockedValue { change(&$0) } }
}

/// How a run ends.
enum Stop: Sendable, Hashable {
    /// Finish what is under way, within bounds.
    case graceful
    /// The task was cancelled: let go.
    case immediate
}

extension StatusBoard {
    /// Looks each 10 ms until the condition holds or the time is up; says whether it holds.
    func wait(
        within time: Duration, on eventLoop: any EventLoop, until condition: @Sendable (Status) -> Bool
    ) async -> Bool {
        let deadline = NIODeadline.now() + TimeAmount(time)
        while !condition(current) {
            guard NIODeadline.now() < deadline, !Task.isCancelled else { return false }
            try? await eventLoop.scheduleTask(in: .milliseconds(10)) {}.futureResult.get()
        }
        return true
    }
}
