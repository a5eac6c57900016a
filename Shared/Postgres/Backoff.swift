/// How long to wait before the next attempt to connect: 50 ms, doubling to 5 s, each shortened by a random part of up
/// to half, so that a thousand clients do not come back in step.
struct Backoff {
    private(set) var failures = 0
    let first: Duration
    let limit: Duration

    init(first: Duration = .milliseconds(50), limit: Duration = .seconds(5)) {
        self.first = first
        self.limit = limit
    }

    mutating func succeeded() { failures = 0 }

    /// - Parameters:
    ///   - isOurFault: sign-in was refused: soon trying again cannot help and fills the server's log.
    ///   - jitter: from 0 to 1.
    mutating func failed(isOurFault: Bool, jitter: Double) -> Duration {
        failures += 1
        let doubled = first * Double(1 << min(failures - 1, 16))
        let full = min(limit, isOurFault ? max(doubled, .seconds(1)) : doubled)
        return full * (1 - min(max(jitter, 0), 1) / 2)
    }
}
