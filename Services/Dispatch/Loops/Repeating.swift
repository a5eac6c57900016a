import ServiceLifecycle

/// Runs `work` at once and then each `interval` until the service is asked to stop; a stop ends the pause, not the work.
func repeatUntilShutdown(every interval: Duration, _ work: @Sendable () async -> Void) async {
    while !Task.isShuttingDownGracefully && !Task.isCancelled {
        await work()
        if Task.isShuttingDownGracefully { return }
        await cancelWhenGracefulShutdown { try? await Task.sleep(for: interval) }
    }
}
