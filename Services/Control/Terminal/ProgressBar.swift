internal import Glibc
internal import Synchronization

/// One line on standard error that is drawn again as work advances; on something that is no terminal, a line at each
/// tenth.
final class ProgressBar: Sendable {
    private struct State {
        var done = 0
        var drawn = -1
    }

    private let title: String
    private let total: Int
    private let shown: Bool
    private let redraws: Bool
    private let state = Mutex(State())

    init(_ title: String, total: Int, shown: Bool) {
        self.title = title
        self.total = max(total, 1)
        self.shown = shown
        self.redraws = Terminal.isWatched
        draw()
    }

    func advance(by count: Int = 1) {
        state.withLock { $0.done += count }
        draw()
    }

    func finish() {
        guard shown else { return }
        state.withLock { $0.done = total }
        draw()
        if redraws { Terminal.write("\n", to: STDERR_FILENO) }
    }

    private func draw() {
        guard shown else { return }
        let steps = redraws ? 40 : 10
        let line: String? = state.withLock { state in
            let filled = min(state.done * steps / total, steps)
            guard filled != state.drawn else { return nil }
            state.drawn = filled
            let count = "\(min(state.done, total))/\(total)"
            guard redraws else { return "\(title): \(count)\n" }
            return "\r\(title) [" + String(repeating: "█", count: filled)
                + String(repeating: "·", count: steps - filled) + "] \(count) "
        }
        if let line { Terminal.write(line, to: STDERR_FILENO) }
    }
}
