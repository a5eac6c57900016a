/// "There is something to do": any number signal, one loop waits. A signal while nobody waits is kept; many are one.
struct Wake: Sendable {
    let signals: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (signals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    func signal() { continuation.yield() }

    /// The loop that waits ends.
    func finish() { continuation.finish() }
}

/// Several loops that have something to do at the same moment.
struct Wakes: Sendable {
    let all: [Wake]

    func signal() {
        for wake in all { wake.signal() }
    }
}
