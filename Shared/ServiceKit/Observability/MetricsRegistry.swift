public import CoreMetrics
import Synchronization

/// The process's metrics, kept as numbers and shown as Prometheus text. A backend of swift-metrics, so every library's
/// metrics are here as well.
///
/// Bounded: at most `seriesLimit` series, whatever labels are made up; what comes later goes nowhere and is counted in
/// `sluice_metrics_dropped`.
public final class MetricsRegistry: MetricsFactory {
    struct Family {
        let kind: Kind
        var series: [String: any Series] = [:]
    }

    enum Kind: String { case counter, gauge, histogram }

    private struct State {
        var families: [String: Family] = [:]
        var count = 0
        var dropped = 0
    }

    public let seriesLimit: Int
    private let state = Mutex(State())

    public init(seriesLimit: Int = 2_000) { self.seriesLimit = seriesLimit }

    // MARK: MetricsFactory

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(Self.name(label, suffix: "_total"), .counter, dimensions) { CounterSeries() }
    }

    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(Self.name(label, suffix: "_total"), .counter, dimensions) { GaugeSeries() }
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(Self.name(label), .gauge, dimensions) { GaugeSeries() }
    }

    /// An aggregating recorder is a histogram, one that does not aggregate shows its last value.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate {
            series(Self.name(label), .histogram, dimensions) { HistogramSeries(bounds: HistogramSeries.counts) }
        } else {
            series(Self.name(label), .gauge, dimensions) { GaugeSeries() }
        }
    }

    /// A histogram in seconds.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(Self.name(label, suffix: "_seconds"), .histogram, dimensions) {
            HistogramSeries(bounds: HistogramSeries.seconds)
        }
    }

    // A series that was once shown stays: Prometheus takes a vanished counter for a restart.
    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    // MARK: Series

    private func series<S: Series>(
        _ name: String, _ kind: Kind, _ labels: [(String, String)], make: () -> S
    ) -> S {
        let key = Self.labelText(labels)
        return state.withLock { state in
            if let family = state.families[name] {
                // The same name as another kind of metric would make a text that Prometheus refuses.
                guard family.kind == kind else {
                    state.dropped += 1
                    return make()
                }
                if let known = family.series[key] as? S { return known }
            }
            let new = make()
            guard state.count < seriesLimit else {
                state.dropped += 1
                return new
            }
            state.count += 1
            state.families[name, default: Family(kind: kind)].series[key] = new
            return new
        }
    }

    /// The text that Prometheus scrapes (exposition format 0.0.4), families and series in order.
    public func text() -> String {
        let (families, dropped, count) = state.withLock { ($0.families, $0.dropped, $0.count) }
        var text = ""
        text.reserveCapacity(count * 80)
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.write(name: name, labels: labels, to: &text)
            }
        }
        text += "# TYPE sluice_metrics_dropped gauge\nsluice_metrics_dropped \(dropped)\n"
        return text
    }

    /// Letters, digits and underscores, as Prometheus wants them.
    static func name(_ label: String, suffix: String = "") -> String {
        var name = ""
        for byte in label.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                name.unicodeScalars.append(Unicode.Scalar(byte))
            default: name += "_"
            }
        }
        if let first = name.utf8.first, (0x30...0x39).contains(first) { name = "_" + name }
        return name.hasSuffix(suffix) ? name : name + suffix
    }

    static func labelText(_ labels: [(String, String)]) -> String {
        labels.sorted { $0.0 < $1.0 }.map { label, value in
            let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
            return "\(name(label))=\"\(escaped)\""
        }.joined(separator: ",")
    }
}
