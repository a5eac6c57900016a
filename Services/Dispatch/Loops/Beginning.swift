import ServiceLifecycle

/// A service that begins once what it decides by is there. A stop in the meantime ends it before it has begun.
struct Beginning<Base: Service>: Service {
    let base: Base
    /// Returns early if the service is asked to stop.
    let condition: @Sendable () async -> Void

    func run() async throws {
        await condition()
        guard !Task.isShuttingDownGracefully, !Task.isCancelled else { return }
        try await base.run()
    }
}

extension Service {
    func beginning(after condition: @escaping @Sendable () async -> Void) -> Beginning<Self> {
        Beginning(base: self, condition: condition)
    }
}
