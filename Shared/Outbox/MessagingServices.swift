public import AMQP
public import Logging
import Model
public import NIOCore
public import Postgres
public import ServiceLifecycle

/// The databases of a service's messaging; both of a background role.
public struct MessagingDatabases: Sendable {
    /// The emergency lane's own connections, on a reactor thread of their own.
    public var lane: PostgresClient
    /// Everything else.
    public var background: PostgresClient

    public init(lane: PostgresClient, background: PostgresClient) {
        self.lane = lane
        self.background = background
    }
}

/// Where the connections to the broker live.
public struct MessagingLoops: Sendable {
    public var lane: any EventLoop
    public var routine: any EventLoop

    public init(lane: any EventLoop, routine: any EventLoop) {
        self.lane = lane
        self.routine = routine
    }
}

/// A service that says whether it belongs to the emergency lane, and so onto the lane's own executor.
public protocol LaneMember: Service {
    var isLane: Bool { get }
}

/// What runs beside a service's handlers: the two relays with their publishers, hints, the emergency outbox's sweep,
/// the outbox's rotation, healing, upkeep, and the numbers.
///
///     let messagingServices = MessagingServices(messaging: messaging, databases: …, amqp: …, loops: …, flow: flow, logger: logger)
///     group.add(contentsOf: messagingServices.services)
public struct MessagingServices: Sendable {
    /// In the order in which they are to be started, and stopped in reverse: publishers outlive relays.
    public let services: [any Service]
    private let publishers: [(lane: Lane, publisher: AMQPPublisher)]
    private let watch: OutboxWatch

    /// - Parameters:
    ///   - amqp: of the service's user; each connection gets a name of its own.
    ///   - flow: holds back routine sends while the lane is under pressure.
    public init(
        messaging: Messaging, databases: MessagingDatabases, amqp: AMQPConfiguration, loops: MessagingLoops,
        flow: FlowControl?, settings: RelaySettings = RelaySettings(), topology: Topology = CityTopology.topology,
        logger: Logger
    ) {
        let service = messaging.service
        func publisher(_ lane: Lane, _ loop: any EventLoop) -> AMQPPublisher {
            var configuration = amqp
            configuration.connectionName = "\(amqp.connectionName) \(lane) publisher"
            return AMQPPublisher(
                configuration: configuration, topology: topology, eventLoop: loop,
                maxUnconfirmed: settings.maxUnconfirmed, logger: logger)
        }
        let lanePublisher = publisher(.emergency, loops.lane)
        let routinePublisher = publisher(.routine, loops.routine)
        let bound = QueueBound(
            publisher: routinePublisher, queues: CityTopology.routineTargets(of: service), maximum: settings.maxReady)
        let watch = OutboxWatch(service: service, database: databases.background, logger: logger)

        let emergencyRelay = Relay(
            table: .emergency(EmergencyOutbox(service: service)), service: service, database: databases.lane,
            publisher: lanePublisher, wake: messaging.signals.emergencyRelay, settings: settings, flow: nil, bound: nil,
            metrics: OutboxMetrics(service: service, lane: .emergency), logger: logger)
        let routineRelay = Relay(
            table: .routine(RoutineOutbox(service: service)), service: service, database: databases.background,
            publisher: routinePublisher, wake: messaging.signals.routineRelay, settings: settings, flow: flow,
            bound: bound, metrics: OutboxMetrics(service: service, lane: .routine), logger: logger)

        publishers = [(.emergency, lanePublisher), (.routine, routinePublisher)]
        self.watch = watch
        services = [
            lanePublisher, routinePublisher, emergencyRelay, routineRelay,
            Notifier(
                service: service, database: databases.lane, wake: messaging.signals.notifier, logger: logger),
            EmergencySweep(outbox: EmergencyOutbox(service: service), database: databases.lane, logger: logger),
            Upkeep(
                service: service, databases: databases, lanePublisher: lanePublisher, bound: bound,
                healer: Healer(service: service, database: databases.background, bound: bound), logger: logger),
            watch,
        ]
    }

    /// What readiness and `/health` show.
    public struct Health: Sendable {
        public var emergencyPublisher: ConnectionState
        public var routinePublisher: ConnectionState
        /// As of the last look, which is some seconds old; nil before the first.
        public var outbox: OutboxState?
    }

    public var health: Health {
        func state(_ lane: Lane) -> ConnectionState {
            publishers.first { $0.lane == lane }?.publisher.state ?? .disconnected(reason: "not started")
        }
        return Health(
            emergencyPublisher: state(.emergency), routinePublisher: state(.routine), outbox: watch.latest)
    }
}
