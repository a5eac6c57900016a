import NIOCore

// The connection's calls for actors on its event loop. None outlives the connection, so none needs a timeout here.
extension AMQPConnection {
    func open(_ host: AMQPConfiguration.Host, isolation: isolated (any Actor)? = #isolation) async throws(AMQPError) {
        try await answer { self.open(host, $0) }
    }

    func openChannel(
        isolation: isolated (any Actor)? = #isolation, events: @escaping (ChannelEvent) -> Void
    ) async throws(AMQPError) -> UInt16 {
        try await answer { self.openChannel(events: events, $0) }
    }

    @discardableResult
    func ask(
        _ method: OutboundMethod, on number: UInt16, isolation: isolated (any Actor)? = #isolation
    ) async throws(AMQPError) -> InboundMethod {
        try await answer { self.ask(method, on: number, $0) }
    }

    /// Asks all at once and waits for all; the first failure is thrown.
    func ask(
        all methods: [OutboundMethod], on number: UInt16, isolation: isolated (any Actor)? = #isolation
    ) async throws(AMQPError) {
        guard !methods.isEmpty else { return }
        var left = methods.count
        var failure: AMQPError?
        try await answer { (completion: @escaping Completion<Void>) in
            for method in methods {
                self.ask(method, on: number) { result in
                    if case .failure(let error) = result, failure == nil { failure = error }
                    left -= 1
                    if left == 0 { completion(failure.map { .failure($0) } ?? .success(())) }
                }
            }
        }
    }

    func declare(
        _ topology: Topology, on number: UInt16, isolation: isolated (any Actor)? = #isolation
    ) async throws(AMQPError) {
        do throws(AMQPError) {
            try await ask(all: topology.declarations, on: number)
        } catch  where error.kind == .channelClosedByPeer(code: 406) {
            throw AMQPError(.topologyMismatch, error.reason)
        }
    }

    func closeChannel(_ number: UInt16, isolation: isolated (any Actor)? = #isolation) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            self.closeChannel(number) { continuation.resume() }
        }
    }

    func close(within timeout: TimeAmount, isolation: isolated (any Actor)? = #isolation) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            self.close(within: timeout) { continuation.resume() }
        }
    }

    private func answer<Value: Sendable>(
        isolation: isolated (any Actor)? = #isolation, _ ask: (@escaping Completion<Value>) -> Void
    ) async throws(AMQPError) -> Value {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, AMQPError>, Never>) in
            ask { continuation.resume(returning: $0) }
        }
        return try result.get()
    }
}
