public import Logging
public import Model
public import NIOCore
import NIOPosix
public import Outbox
public import Postgres

/// Everything that a service stands on. Made once, in `main`, and passed to whoever needs it; nothing is reached by a
/// global.
///
/// The emergency lane has its own event loop, database thread, connections and executor; the rest shares another set.
public struct ServiceContext: Sendable {
    public let service: ServiceName
    public let configuration: ServiceConfiguration
    public let logger: Logger
    public let sources: Sources
    /// Requests' connections: the HTTP role, held to a district scope.
    public let http: PostgresClient
    /// Everybody else's: the background role.
    public let background: PostgresClient
    /// The emergency lane's: the background role, with a statement time-out of 1 s.
    public let lane: PostgresClient
    public let messaging: Messaging
    public let flow: FlowControl
    public let verifier: TokenVerifier
    public let metrics: MetricsRegistry
    public let health: Health
    public let admission: Admission
    public let reactor: PostgresReactor
    public let laneReactor: PostgresReactor
    public let eventLoop: any EventLoop
    public let laneEventLoop: any EventLoop
    public let laneExecutor: LaneExecutor
    let eventLoops: MultiThreadedEventLoopGroup
    let laneEventLoops: MultiThreadedEventLoopGroup

    /// - Parameters:
    ///   - logger: records of this process; `Logger(label:)` after `ProcessLog.start`.
    ///   - metrics: the registry that swift-metrics was started with, so that it shows what libraries count.
    public init(
        configuration: ServiceConfiguration, logger: Logger, metrics: MetricsRegistry, sources: Sources = .system
    ) {
        self.service = configuration.service
        self.configuration = configuration
        self.logger = logger
        self.sources = sources
        self.metrics = metrics
        self.health = Health()
        self.eventLoops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.laneEventLoops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.eventLoop = eventLoops.any()
        self.laneEventLoop = laneEventLoops.any()
        self.laneExecutor = LaneExecutor()
        self.reactor = PostgresReactor(name: "postgres")
        self.laneReactor = PostgresReactor(name: "postgres-lane")
        self.http = PostgresClient(
            configuration: configuration.databaseHTTP, shared: configuration.poolHTTP.shared,
            exclusive: configuration.poolHTTP.exclusive, reactor: reactor, name: "http", logger: logger)
        self.background = PostgresClient(
            configuration: configuration.databaseBackground, shared: configuration.poolBackground.shared,
            exclusive: configuration.poolBackground.exclusive, reactor: reactor, name: "background", logger: logger)
        self.lane = PostgresClient(
            configuration: configuration.databaseLane, shared: configuration.poolLane.shared,
            exclusive: configuration.poolLane.exclusive, reactor: laneReactor, name: "lane", logger: logger)
        self.messaging = Messaging(service: configuration.service, sources: sources)
        let flow = FlowControl(database: background, logger: logger)
        self.flow = flow
        self.verifier = TokenVerifier(
            issuer: configuration.publicURL, database: background, now: sources.now, logger: logger)
        self.admission = Admission(maximum: 256, floor: 16) { flow.share }
    }
}
