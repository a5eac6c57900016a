import CoreMetrics
import Synchronization

/// One line, or one histogram's lines, of the metrics text.
protocol Series: AnyObject, Sendable {
    func write(name: String, labels: String, to text: inout String)
}

extension Series {
    func line(_ name: String, _ labels: String, _ value: String, to text: inout String) {
        text += name
        if !labels.isEmpty {
            text += "{"
            text += labels
            text += "}"
        }
        text += " "
        text += value
        text += "\n"
    }
}

final class CounterSeries: Series, CounterHandler {
    private let value = Atomic<Int64>(0)

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }

    func write(name: String, labels: String, to text: inout String) {
        line(name, labels, String(value.load(ordering: .relaxed)), to: &text)
    }
}

final class GaugeSeries: Series, MeterHandler, RecorderHandler, FloatingPointCounterHandler {
    private let bits = Atomic<UInt64>(Double(0).bitPattern)

    private var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
    func reset() { set(0.0) }
    func decrement(by amount: Double) { increment(by: -amount) }

    func increment(by amount: Double) {
        var known = bits.load(ordering: .relaxed)
        while true {
            let wanted = (Double(bitPattern: known) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: known, desired: wanted, ordering: .relaxed)
            if exchanged { return }
            known = original
        }
    }

    func write(name: String, labels: String, to text: inout String) {
        line(name, labels, MetricsNumber.text(value), to: &text)
    }
}

final class HistogramSeries: Series, TimerHandler, RecorderHandler {
    /// From half a millisecond to a minute.
    static let seconds: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    /// Sizes of batches and the like.
    static let counts: [Double] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]

    private struct State {
        var buckets: [UInt64]
        var sum = 0.0
        var count: UInt64 = 0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        self.state = Mutex(State(buckets: [UInt64](repeating: 0, count: bounds.count)))
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 }
        state.withLock { state in
            if let bucket { state.buckets[bucket] += 1 }
            state.sum += value
            state.count += 1
        }
    }

    func write(name: String, labels: String, to text: inout String) {
        let (buckets, sum, count) = state.withLock { ($0.buckets, $0.sum, $0.count) }
        let separator = labels.isEmpty ? "" : ","
        var total: UInt64 = 0
        for (bound, bucket) in zip(bounds, buckets) {
            total += bucket
            line(
                name + "_bucket", "\(labels)\(separator)le=\"\(MetricsNumber.text(bound))\"", String(total), to: &text)
        }
        line(name + "_bucket", "\(labels)\(separator)le=\"+Inf\"", String(count), to: &text)
        line(name + "_sum", labels, MetricsNumber.text(sum), to: &text)
        line(name + "_count", labels, String(count), to: &text)
    }
}

enum MetricsNumber {
    static func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }
}
