internal import ServiceLifecycle

/// Waiting in the loops of services: a stop ends it at once.
enum Pause {
    static func sleep(_ duration: Duration) async {
        await cancelWhenGracefulShutdown { try? await Task.sleep(for: duration) }
    }

    /// Repeats until the service is asked to stop.
    static func every(_ interval: Duration, _ work: () async -> Void) async {
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            await work()
            if Task.isShuttingDownGracefully { return }
            await sleep(interval)
        }
    }
}

/// Pauses that double up to a limit, each shortened at random by up to half, so that instances do not come back in step.
struct DoublingPause: Sendable {
    let first: Duration
    let limit: Duration
    private(set) var failures = 0

    init(first: Duration, limit: Duration) {
        self.first = first
        self.limit = limit
    }

    mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let full = min(limit, first * Double(1 << min(failures, 20)))
        failures += 1
        return full * Double.random(in: 0.5...1, using: &random)
    }

    mutating func next() -> Duration {
        var random = SystemRandomNumberGenerator()
        return next(using: &random)
    }

    mutating func reset() { failures = 0 }
}
