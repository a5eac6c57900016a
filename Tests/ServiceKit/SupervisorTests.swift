import Hummingbird
import ServiceLifecycle
import Synchronization
import Testing

@testable import ServiceKit

/// What happened, in order.
private final class Journal: Sendable {
    private let entries = Mutex<[String]>([])

    func note(_ entry: String) { entries.withLock { $0.append(entry) } }
    var all: [String] { entries.withLock { $0 } }
}

/// Runs until it is asked to stop, and notes when it is.
private struct Worker: Service {
    let name: String
    let journal: Journal
    /// How long it needs once asked.
    var winding: Duration = .zero

    func run() async throws {
        journal.note("\(name) runs")
        try? await gracefulShutdown()
        journal.note("\(name) asked")
        if winding > .zero { try await Task.sleep(for: winding) }
        journal.note("\(name) ends")
    }
}

private struct Failing: Service {
    let journal: Journal

    func run() async throws {
        while !journal.all.contains("database runs") { await Task.yield() }
        throw TestFailure("broken")
    }
}

private struct Deaf: Service {
    func run() async throws {
        await withCheckedContinuation { continuation in deaf.withLock { $0.append(continuation) } }
    }
}

/// What deaf services wait for, for ever.
private let deaf = Mutex<[CheckedContinuation<Void, Never>]>([])

/// A process stops in a stated order, whatever the reason.
@Suite struct SupervisorTests {
    private let journal = Journal()

    private func worker(_ name: String, _ phase: StopPhase, winding: Duration = .zero) -> SupervisedService {
        Worker(name: name, journal: journal, winding: winding).stopping(in: phase, name: name)
    }

    /// Every phase has a minute, but for the one that the test is about.
    private func supervisor(_ services: [any Service], hurried: StopPhase? = nil) -> Supervisor {
        Supervisor(
            services: services, logger: silentLogger, budget: { $0 == hurried ? .milliseconds(20) : .seconds(60) },
            forcedEnd: .milliseconds(20))
    }

    /// Asks for the end once everything runs.
    private func stopOnce(running count: Int) -> AsyncStream<String> {
        AsyncStream { continuation in
            Task {
                while journal.all.filter({ $0.hasSuffix(" runs") }).count < count { await Task.yield() }
                continuation.yield("SIGTERM")
            }
        }
    }

    private var ends: [String] { journal.all.filter { !$0.hasSuffix(" runs") } }

    /// swift-server/swift-service-lifecycle#232, nsweeting/rabbit#102.
    @Test func `phases stop one after the other, each when the one before has ended`() async throws {
        let services = [
            worker("database", .database), worker("relay", .confirms), worker("job", .work, winding: .milliseconds(5)),
            worker("consumer", .consumers, winding: .milliseconds(20)),
            worker("http", .intake, winding: .milliseconds(10)),
            worker("metrics", .operations), worker("publisher", .broker),
        ]
        let notReady = Mutex(false)
        try await supervisor(services).run(stops: stopOnce(running: 7)) { notReady.withLock { $0 = true } }
        #expect(
            ends
                == ["http", "consumer", "job", "relay", "publisher", "database", "metrics"].flatMap {
                    ["\($0) asked", "\($0) ends"]
                })
        #expect(notReady.withLock { $0 })
    }

    @Test func `after a failure the others stop in the same order, and the end is not clean`() async throws {
        let services: [any Service] = [
            worker("database", .database), Failing(journal: journal).stopping(in: .work, name: "job"),
            worker("http", .intake, winding: .milliseconds(5)),
        ]
        let error = await #expect(throws: UncleanStop.self) {
            try await supervisor(services).run(stops: AsyncStream { _ in })
        }
        #expect(error?.reasons == ["job failed: broken"])
        #expect(ends == ["http asked", "http ends", "database asked", "database ends"])
    }

    @Test func `a service that returns by itself is a failure, unless it may`() async throws {
        struct Brief: Service { func run() async throws {} }
        let error = await #expect(throws: UncleanStop.self) {
            try await supervisor([Brief().stopping(in: .work, name: "brief"), worker("http", .intake)])
                .run(stops: AsyncStream { _ in })
        }
        #expect(error?.reasons == ["brief ended by itself"])
        try await supervisor([Brief().allowedToEnd(), worker("again", .intake)]).run(stops: stopOnce(running: 2))
    }

    @Test func `a service that uses up its time is cancelled, and the end is not clean`() async throws {
        let services = [worker("database", .database), worker("slow", .consumers, winding: .seconds(3_600))]
        let error = await #expect(throws: UncleanStop.self) {
            try await supervisor(services, hurried: .consumers).run(stops: stopOnce(running: 2))
        }
        #expect(error?.reasons == ["slow did not stop in time"])
        #expect(ends == ["slow asked", "database asked", "database ends"])
    }

    /// swift-server/swift-service-lifecycle#206.
    @Test func `a service that is deaf to cancellation is left behind`() async throws {
        let services: [any Service] = [Deaf().stopping(in: .consumers, name: "deaf"), worker("database", .database)]
        let error = await #expect(throws: UncleanStop.self) {
            try await supervisor(services, hurried: .consumers).run(stops: stopOnce(running: 1))
        }
        #expect(
            error?.reasons == ["deaf did not stop in time", "deaf was left behind: it is deaf to cancellation"])
        #expect(ends == ["database asked", "database ends"])
    }

    @Test func `a second signal ends it at once`() async throws {
        let services = [worker("slow", .consumers, winding: .seconds(3_600)), worker("database", .database)]
        let stops = AsyncStream<String> { continuation in
            Task {
                while journal.all.filter({ $0.hasSuffix(" runs") }).count < 2 { await Task.yield() }
                continuation.yield("SIGTERM")
                while !journal.all.contains("slow asked") { await Task.yield() }
                continuation.yield("SIGINT")
            }
        }
        let error = await #expect(throws: UncleanStop.self) { try await supervisor(services).run(stops: stops) }
        #expect(error?.reasons.first == "stopped at once by a second SIGINT")
    }

    /// swift-server/swift-service-lifecycle#248.
    @Test func `a signal during the start stops what has started`() async throws {
        let stops = AsyncStream<String> { $0.yield("SIGTERM") }
        try await supervisor([worker("http", .intake), worker("database", .database)]).run(stops: stops)
        #expect(journal.all.filter { $0.hasSuffix(" ends") } == ["http ends", "database ends"])
    }

    @Test func `the lane's services run on the lane's thread`() async throws {
        struct Where: Service {
            let journal: Journal
            func run() async throws {
                withUnsafeCurrentTask { task in
                    journal.note(task?.unownedTaskExecutor == nil ? "shared" : "lane")
                }
            }
        }
        let executor = LaneExecutor()
        let supervisor = Supervisor(
            services: [Where(journal: journal).inLane().allowedToEnd(), worker("http", .intake)], logger: silentLogger,
            laneExecutor: executor)
        try await supervisor.run(stops: stopOnce(running: 1))
        #expect(journal.all.contains("lane"))
    }
}
