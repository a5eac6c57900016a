import Glibc
import Synchronization

/// A thread of its own for the emergency lane's tasks: however full the shared pool is, they are run.
///
///     try await withTaskExecutorPreference(context.laneExecutor) { … }
public final class LaneExecutor: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
    }

    private let state = Mutex(State())
    private let bell = Bell()

    public init() {
        bell.spawnThread(stackSize: 512 << 10) { [self] in
            while true {
                bell.wait()
                runAll()
            }
        }
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = state.withLock { state in
            state.jobs.append(job)
            return state.jobs.count == 1
        }
        if isFirst { bell.ring() }
    }

    private func runAll() {
        while true {
            let jobs = state.withLock { state in
                let jobs = state.jobs
                state.jobs = []
                return jobs
            }
            if jobs.isEmpty { return }
            for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }
}
