import Synchronization

/// A named question that `/health/ready` asks.
public struct HealthCheck: Sendable {
    public enum Answer: Sendable, Hashable {
        case ok
        /// Works, but not as it should; the service stays ready. The sentence has no secrets.
        case degraded(String)
        case failed(String)
    }

    public let name: String
    public let check: @Sendable () async -> Answer

    public init(_ name: String, _ check: @escaping @Sendable () async -> Answer) {
        self.name = name
        self.check = check
    }
}

/// The answers of all checks.
public struct HealthReport: Sendable {
    public var answers: [(name: String, answer: HealthCheck.Answer)]

    public var isReady: Bool {
        answers.allSatisfy { if case .failed = $0.answer { false } else { true } }
    }

    /// `{"status": "ready", "checks": {"database": {"status": "ok"} …}}`
    func json() -> [UInt8] {
        var writer = JSONWriter()
        writer.object { root in
            root.field("status", isReady ? "ready" : "not_ready")
            root.object("checks") { checks in
                for (name, answer) in answers {
                    checks.object(name) { item in
                        switch answer {
                        case .ok: item.field("status", "ok")
                        case .degraded(let reason):
                            item.field("status", "degraded")
                            item.field("reason", reason)
                        case .failed(let reason):
                            item.field("status", "failed")
                            item.field("reason", reason)
                        }
                    }
                }
            }
        }
        return writer.bytes
    }
}

/// All checks of a process. Services add theirs while they are put together.
public final class Health: Sendable {
    private struct State {
        var checks: [HealthCheck] = []
        var isStopping = false
    }

    private let state = Mutex(State())

    public init() {}

    public func add(_ check: HealthCheck) { state.withLock { $0.checks.append(check) } }

    /// From now on not ready, so that no new work is sent here.
    public func stop() { state.withLock { $0.isStopping = true } }

    /// Asks all checks at once; one that does not answer within `budget` has failed.
    public func report(budget: Duration = .seconds(2)) async -> HealthReport {
        let (checks, isStopping) = state.withLock { ($0.checks, $0.isStopping) }
        var answers: [String: HealthCheck.Answer] = [:]
        await withTaskGroup(of: (String, HealthCheck.Answer).self) { group in
            for check in checks {
                group.addTask { (check.name, await Self.ask(check, budget: budget)) }
            }
            for await (name, answer) in group { answers[name] = answer }
        }
        var report = HealthReport(answers: checks.map { ($0.name, answers[$0.name] ?? .failed("no answer")) })
        if isStopping { report.answers.append(("process", .failed("stopping"))) }
        return report
    }

    private static func ask(_ check: HealthCheck, budget: Duration) async -> HealthCheck.Answer {
        // Unstructured: a check that is deaf to cancellation must not keep the report waiting.
        let (answers, continuation) = AsyncStream.makeStream(of: HealthCheck.Answer.self)
        let question = Task {
            continuation.yield(await check.check())
            continuation.finish()
        }
        let alarm = Task {
            try? await Task.sleep(for: budget)
            continuation.yield(.failed("no answer within \(budget)"))
            continuation.finish()
        }
        defer {
            question.cancel()
            alarm.cancel()
        }
        for await answer in answers { return answer }
        return .failed("no answer")
    }
}
