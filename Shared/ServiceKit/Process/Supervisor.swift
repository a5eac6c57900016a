public import Logging
public import ServiceLifecycle

/// Why a process did not stop as it should.
public struct UncleanStop: Error, Sendable, Hashable, CustomStringConvertible {
    public var reasons: [String]
    public var description: String { reasons.joined(separator: "; ") }
}

/// Runs services until one fails or a stop is asked for, then stops them phase by phase. A service that is deaf to both
/// stop and cancellation is left behind when its time is up: the process ends anyway, and says so.
public struct Supervisor: Sendable {
    enum Event: Sendable {
        /// A signal's name, or whatever else asks for the end.
        case stop(String)
        case ended(Int, reason: String?)
        case deadline(Int)
    }

    private let services: [SupervisedService]
    private let logger: Logger
    private let laneExecutor: (any TaskExecutor)?
    private let budget: @Sendable (StopPhase) -> Duration
    /// Between cancelling a phase and leaving it behind.
    private let forcedEnd: Duration

    public init(
        services: [any Service], logger: Logger, laneExecutor: (any TaskExecutor)? = nil,
        budget: @escaping @Sendable (StopPhase) -> Duration = { $0.budget }, forcedEnd: Duration = .milliseconds(500)
    ) {
        self.services = services.map(SupervisedService.wrap)
        self.logger = logger
        self.laneExecutor = laneExecutor
        self.budget = budget
        self.forcedEnd = forcedEnd
    }

    /// - Parameters:
    ///   - stops: each element asks for the end; the first orderly, the second at once.
    ///   - onStop: called once when the end begins.
    /// - Throws: `UncleanStop` if a service failed, ended by itself, or had to be cancelled or left behind.
    public func run(
        stops: some AsyncSequence<String, Never> & Sendable, onStop: @Sendable () -> Void = {}
    ) async throws(UncleanStop) {
        let (events, events_) = AsyncStream.makeStream(of: Event.self)
        let signals = Task {
            for await name in stops { events_.yield(.stop(name)) }
        }
        defer { signals.cancel() }
        var running = Running(services: services)
        for index in services.indices { running.start(index, events_, on: executor(of: services[index])) }

        var iterator = events.makeAsyncIterator()
        while let event = await iterator.next() {
            switch event {
            case .deadline: continue
            case .ended(let index, let reason):
                if running.end(index, reason, .unasked, logger) { continue }
            case .stop(let name): logger.info("Stopping", metadata: ["because": "\(name)"])
            }
            break
        }
        onStop()
        await stop(&running, &iterator, events_)
        if !running.faults.isEmpty { throw UncleanStop(reasons: running.faults) }
        logger.info("Stopped cleanly")
    }

    private func executor(of service: SupervisedService) -> (any TaskExecutor)? { service.isLane ? laneExecutor : nil }

    /// One phase after the other: ask, wait, cancel, wait a little, leave behind.
    private func stop(
        _ running: inout Running, _ events: inout AsyncStream<Event>.AsyncIterator,
        _ sink: AsyncStream<Event>.Continuation
    ) async {
        var isForced = false
        for phase in StopPhase.allCases {
            let members = running.members(of: phase)
            if members.isEmpty { continue }
            for index in members { await running.ask(index) }
            if isForced { running.cancel(members) }
            let patience = [isForced ? Duration.zero : budget(phase), forcedEnd]
            for (step, time) in patience.enumerated() {
                let id = phase.rawValue * 2 + step
                let alarm = Task {
                    try? await Task.sleep(for: time)
                    sink.yield(.deadline(id))
                }
                defer { alarm.cancel() }
                var isOver = false
                while !isOver, !running.members(of: phase).isEmpty, let event = await events.next() {
                    switch event {
                    case .ended(let index, let reason):
                        _ = running.end(index, reason, step == 0 && !isForced ? .asked : .cancelled, logger)
                    case .deadline(let reached): isOver = reached == id
                    case .stop(let name):
                        logger.warning("Stopping at once", metadata: ["because": "\(name)"])
                        running.fault("stopped at once by a second \(name)", logger)
                        isForced = true
                        isOver = true
                    }
                }
                let late = running.members(of: phase)
                if late.isEmpty { break }
                if step == 0 {
                    for index in late { running.fault("\(services[index].name) did not stop in time", logger) }
                    running.cancel(late)
                } else {
                    for index in late { running.leave(index, logger) }
                }
            }
        }
    }
}

/// Which services still run.
private struct Running {
    private let services: [SupervisedService]
    private var groups: [Int: ServiceGroup] = [:]
    private var tasks: [Int: Task<Void, Never>] = [:]
    private(set) var faults: [String] = []

    init(services: [SupervisedService]) { self.services = services }

    mutating func start(
        _ index: Int, _ events: AsyncStream<Supervisor.Event>.Continuation, on executor: (any TaskExecutor)?
    ) {
        let service = services[index].service
        // The group gives the service its graceful shutdown; what it would log, the supervisor says better.
        let silent = Logger(label: "service") { _ in SwiftLogNoOpLogHandler() }
        let member = ServiceGroupConfiguration.ServiceConfiguration(
            service: service, successTerminationBehavior: .gracefullyShutdownGroup)
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [member], logger: silent))
        groups[index] = group
        tasks[index] = Task(executorPreference: executor) {
            do {
                try await group.run()
                events.yield(.ended(index, reason: nil))
            } catch {
                events.yield(.ended(index, reason: "\(error)"))
            }
        }
    }

    func members(of phase: StopPhase) -> [Int] {
        tasks.keys.filter { services[$0].phase == phase }.sorted()
    }

    func ask(_ index: Int) async { await groups[index]?.triggerGracefulShutdown() }

    func cancel(_ indices: [Int]) { for index in indices { tasks[index]?.cancel() } }

    /// How a service that has ended came to it.
    enum Ending { case unasked, asked, cancelled }

    /// Answers true if that is how it should be.
    mutating func end(_ index: Int, _ reason: String?, _ ending: Ending, _ logger: Logger) -> Bool {
        guard tasks.removeValue(forKey: index) != nil else { return true }
        groups[index] = nil
        let service = services[index]
        if ending == .cancelled { return true }
        if let reason {
            fault("\(service.name) failed: \(reason)", logger)
            return false
        }
        if ending == .asked || service.mayEnd { return true }
        fault("\(service.name) ended by itself", logger)
        return false
    }

    mutating func leave(_ index: Int, _ logger: Logger) {
        tasks[index] = nil
        groups[index] = nil
        fault("\(services[index].name) was left behind: it is deaf to cancellation", logger)
    }

    mutating func fault(_ reason: String, _ logger: Logger) {
        faults.append(reason)
        logger.error("\(reason)")
    }
}
