import Model
import Synchronization

/// The lane's own times of the last seconds, for the pressure signal and the metrics.
final class LaneMeter: Sendable {
    private struct Entry {
        var at: ContinuousClock.Instant
        var milliseconds: Double
    }

    private let entries = Mutex<[Entry]>([])
    private let clock = ContinuousClock()
    private let window: Duration

    init(window: Duration = .seconds(5)) { self.window = window }

    /// From a report's acceptance until it was filed.
    func record(filed duration: Duration) { record(duration) }

    /// From the moment at which a crew was free and the case could be claimed until it was.
    func record(claimed duration: Duration) { record(duration) }

    private func record(_ duration: Duration) {
        let now = clock.now
        let milliseconds = max(0, duration.inSeconds * 1_000)
        entries.withLock { entries in
            if entries.count > 4_096 { entries.removeFirst(2_048) }
            entries.append(Entry(at: now, milliseconds: milliseconds))
        }
    }

    /// The worst of the window, in milliseconds; 0 if nothing happened.
    var worst: Double {
        let limit = clock.now - window
        return entries.withLock { entries in
            entries.removeAll { $0.at < limit }
            return entries.map(\.milliseconds).max() ?? 0
        }
    }
}
