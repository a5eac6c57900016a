import Outbox
public import ServiceLifecycle

/// When a service is stopped. A phase begins when the one before has ended or used up its budget, on a clean stop and
/// after a failure alike, so that nothing loses what it stands on while it still works.
public enum StopPhase: Int, Sendable, CaseIterable, Comparable {
    /// Takes new work from outside: the HTTP server.
    case intake
    /// Takes new work from the broker.
    case consumers
    /// Works on its own.
    case work
    /// Passes on what is committed, and waits for the broker's confirms: relays.
    case confirms
    /// The publishers' connections to the broker.
    case broker
    /// What all the others stand on.
    case database
    /// Shows how the rest is doing.
    case operations

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// How long the phase may take before its services are cancelled. Together under 30 seconds, which is what a container
    /// is given.
    public var budget: Duration {
        switch self {
        case .intake: .seconds(7)
        case .consumers: .seconds(6)
        case .confirms: .seconds(4)
        case .work, .database: .seconds(3)
        case .broker: .seconds(2)
        case .operations: .seconds(1)
        }
    }
}

/// A service, with when it is stopped and where it runs.
public struct SupervisedService: Service {
    public let service: any Service
    public var name: String
    public var phase: StopPhase
    /// Runs on the emergency lane's own thread.
    public var isLane: Bool
    /// May return by itself without that being a failure.
    public var mayEnd: Bool

    public init(
        _ service: any Service, name: String? = nil, phase: StopPhase = .work, lane: Bool = false, mayEnd: Bool = false
    ) {
        self.service = service
        self.name = name ?? String(describing: type(of: service))
        self.phase = phase
        self.isLane = lane
        self.mayEnd = mayEnd
    }

    public func run() async throws { try await service.run() }

    /// What was said about a service, or what it says of itself, or the usual.
    static func wrap(_ service: any Service) -> SupervisedService {
        service as? SupervisedService
            ?? SupervisedService(service, lane: (service as? any LaneMember)?.isLane ?? false)
    }
}

extension Service {
    /// Says when this service is stopped; without it, in `.work`.
    public func stopping(in phase: StopPhase, name: String? = nil) -> SupervisedService {
        var supervised = SupervisedService.wrap(self)
        supervised.phase = phase
        if let name { supervised.name = name }
        return supervised
    }

    /// Runs on the emergency lane's own thread.
    public func inLane() -> SupervisedService {
        var supervised = SupervisedService.wrap(self)
        supervised.isLane = true
        return supervised
    }

    /// May return by itself.
    public func allowedToEnd() -> SupervisedService {
        var supervised = SupervisedService.wrap(self)
        supervised.mayEnd = true
        return supervised
    }
}
