import Metrics
import Model
import Synchronization

/// The lane's own times of the last seconds, for the pressure signal and the metrics.
final class LaneMeter: Sendable {
    private struct Entry {
        var at: ContinuousClock.Instant
        var milliseconds: Double
    }

    private struct State {
        var entries: [Entry] = []
        /// The canary's last two steps here. Rounds come at a steady beat, so the last one says how the lane is now.
        var canaryFiled: Entry?
        var canaryClaimed: Entry?
    }

    private let state = Mutex(State())
    private let clock = ContinuousClock()
    private let window: Duration

    init(window: Duration = .seconds(5)) { self.window = window }

    /// From a report's acceptance until it was filed.
    func record(filed duration: Duration, canary: Bool = false) {
        record(duration, step: "filed", canary: canary ? \.canaryFiled : nil)
    }

    /// From the moment at which a crew was free and the case could be claimed until it was.
    func record(claimed duration: Duration, canary: Bool = false) {
        record(duration, step: "claimed", canary: canary ? \.canaryClaimed : nil)
    }

    private func record(_ duration: Duration, step: String, canary: WritableKeyPath<State, Entry?>?) {
        let duration = max(.zero, duration)
        Timer(
            label: "sluice_lane_step", dimensions: [("step", step), ("canary", canary == nil ? "false" : "true")]
        ).record(duration: duration)
        let entry = Entry(at: clock.now, milliseconds: duration.inSeconds * 1_000)
        state.withLock { state in
            if let canary {
                state[keyPath: canary] = entry
                return
            }
            if state.entries.count > 4_096 { state.entries.removeFirst(2_048) }
            state.entries.append(entry)
        }
    }

    /// The worst of the window, in milliseconds; 0 if nothing happened.
    var worst: Double {
        let limit = clock.now - window
        return state.withLock { state in
            state.entries.removeAll { $0.at < limit }
            return state.entries.map(\.milliseconds).max() ?? 0
        }
    }

    /// The slower of the canary's last two steps, in milliseconds; nil if none was taken here within the window.
    var canary: Double? {
        let limit = clock.now - window
        return state.withLock { state in
            [state.canaryFiled, state.canaryClaimed].compactMap(\.self).filter { $0.at >= limit }
                .map(\.milliseconds).max()
        }
    }
}
