/// Pauses that double from the lower to the upper bound, each drawn at random from the upper half of its step, so that
/// many clients don't come back in step.
struct Backoff {
    let bounds: ClosedRange<Duration>
    private var step: Duration

    init(_ bounds: ClosedRange<Duration>) {
        self.bounds = bounds
        self.step = bounds.lowerBound
    }

    /// - Parameter lasted: how long what is tried again had worked; a good while forgives the failures before it.
    mutating func next(after lasted: Duration = .zero, using random: inout some RandomNumberGenerator) -> Duration {
        if lasted >= bounds.upperBound { step = bounds.lowerBound }
        let pause = step * Double.random(in: 0.5...1, using: &random)
        step = min(step * 2, bounds.upperBound)
        return pause
    }
}
