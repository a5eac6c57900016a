/// Seconds at the usual marks.
struct Percentiles: Encodable, Equatable {
    var count: Int
    var p50: Double
    var p99: Double
    var max: Double

    /// Nil of nothing. Nearest rank: p99 of 100 values is the 99th.
    init?(_ values: [Double]) {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        func rank(_ share: Double) -> Double {
            sorted[Swift.max(0, Int((share * Double(sorted.count)).rounded(.up)) - 1)]
        }
        self.count = sorted.count
        self.p50 = rank(0.5)
        self.p99 = rank(0.99)
        self.max = sorted[sorted.count - 1]
    }

    var text: String {
        "p50 \(Self.shown(p50))  p99 \(Self.shown(p99))  max \(Self.shown(max))  (\(count))"
    }

    private static func shown(_ seconds: Double) -> String {
        seconds < 10
            ? "\(Int((seconds * 1000).rounded())) ms"
            : "\((seconds * 10).rounded() / 10) s"
    }
}
