public import Hummingbird
import Logging
import Model
import Outbox
import Pictures
import Postgres
public import ServiceKit
import ServiceLifecycle

/// dispatch: cases and their clocks, crews and their orders, storm levels, the live stream.
public struct DispatchService: Sendable {
    let context: ServiceContext
    let settings: DispatchSettings
    let categories: CategoryCache
    let hub: LiveHub
    let meter = LaneMeter()
    /// What wakes each loop.
    let emergencyClaims = Wake()
    let routineClaims = Wake()
    let numbering = Wake()

    /// Throws `ConfigurationErrors` for settings of dispatch's own that are wrong.
    public init(_ context: ServiceContext) throws {
        self.context = context
        self.settings = try DispatchSettings(context.configuration)
        self.categories = CategoryCache(
            database: context.background, now: context.sources.now, logger: context.logger)
        self.hub = LiveHub(database: context.background, now: context.sources.now, logger: context.logger)
    }

    var claims: Wakes { Wakes(all: [emergencyClaims, routineClaims]) }

    /// The routes with their description. Tests build the same.
    public func routes() -> (router: Router<APIContext>, document: OpenAPIDocument) {
        let router = Router(context: APIContext.self)
        var document = OpenAPIDocument(
            service: .dispatch, title: "Sluice dispatch",
            summary: "Cases, work orders, crews, storm levels, live stream")
        CaseDescriptions.define(in: &document)
        OrderDescriptions.define(in: &document)
        CrewDescriptions.define(in: &document)
        StormRoutes.define(in: &document)
        CategoryRoutes.define(in: &document)

        let transacting = Transacting(
            database: context.http, messaging: context.messaging, claims: claims, live: numbering)
        let blobs = blobs
        let desk = Desk(database: context.http, transacting: transacting, categories: categories)
        CaseRoutes(desk: desk).register(router, &document)
        CaseActRoutes(desk: desk, acts: CaseActs(transacting: transacting, categories: categories))
            .register(router, &document)
        OrderRoutes(desk: desk, steps: CrewSteps(transacting: transacting, categories: categories))
            .register(router, &document)
        OrderPhotoRoutes(
            desk: desk,
            keep: KeepOrderPhoto(
                transacting: transacting,
                pictures: PictureTaker(
                    blobs: blobs, zoneMinutes: settings.cameraZoneMinutes, logger: context.logger)),
            reader: PhotoReader(folder: photoFolder, logger: context.logger), pictures: PictureAnswer(from: blobs)
        ).register(router, &document)
        CrewRoutes(desk: desk, shifts: CrewShifts(transacting: transacting, categories: categories))
            .register(router, &document)
        StormRoutes(desk: desk).register(router, &document)
        CategoryRoutes(desk: desk).register(router, &document)
        LiveRoutes(desk: desk, hub: hub, verifier: context.verifier).register(router, &document)
        ScalingRoutes(desk: desk, connections: connections).register(router, &document)
        return (router, document)
    }

    /// Serves until the process is told to stop.
    public func serve() async throws {
        let (router, document) = routes()
        addHealthChecks()
        try await ServiceKit.serve(
            context, router: router, document: document, services: services() + consumers(),
            views: [
                "intake.api_report", "intake.api_attachment", "intake.api_jwks", "intake.api_revocation",
                "notification.api_notice",
            ])
    }

    // MARK: - Parts

    /// The work that goes on without anybody asking.
    func services() -> [any Service] {
        let logger = context.logger
        return [
            categories.stopping(in: .work, name: "categories"),
            hub.stopping(in: .intake, name: "live hub"),
            ClaimLoop(
                work: .emergencies, claiming: claiming(in: context.lane), wake: emergencyClaims,
                interval: settings.claimInterval, logger: logger
            ).beginning(after: categories.untilRead).stopping(in: .work, name: "emergency claims").inLane(),
            ClaimLoop(
                work: .routine(limit: settings.routineClaims, flow: context.flow),
                claiming: claiming(in: context.background), wake: routineClaims, interval: settings.claimInterval,
                logger: logger
            ).beginning(after: categories.untilRead).stopping(in: .work, name: "routine claims"),
            ReleaseLoop(
                database: context.background, messaging: context.messaging, categories: categories, claims: claims,
                live: numbering, patience: settings.patience, interval: .seconds(1), logger: logger
            ).beginning(after: categories.untilRead).stopping(in: .work, name: "releases"),
            ClockLoop(
                database: context.background, messaging: context.messaging, categories: categories, live: numbering,
                interval: .seconds(1), logger: logger
            ).beginning(after: categories.untilRead).stopping(in: .work, name: "clocks"),
            LiveSequencer(
                database: context.background, wake: numbering, now: context.sources.now, pause: .milliseconds(20),
                interval: .milliseconds(250), logger: logger
            ).stopping(in: .work, name: "live numbers"),
            LaneSignalWriter(
                database: context.lane, meter: meter, instance: context.configuration.instance,
                bounds: settings.pressure, interval: .milliseconds(250), logger: logger
            ).stopping(in: .work, name: "lane signal").inLane(),
            WaitingAlarm(
                database: context.background, instance: context.configuration.instance,
                patience: settings.waitingAlarm, interval: .seconds(1), logger: logger
            ).stopping(in: .work, name: "waiting emergencies"),
            Upkeep(database: context.background, logger: logger).stopping(in: .work, name: "upkeep"),
            sweep.stopping(in: .work, name: "photo sweep"),
        ]
    }

    private var photoFolder: String { context.configuration.attachmentsDirectory ?? "." }

    var blobs: DiskBlobStore { DiskBlobStore(root: photoFolder) }

    var sweep: PictureSweep {
        let database = context.background
        return PictureSweep(of: blobs, now: context.sources.now, logger: context.logger) { digests in
            Set(try await database.query(OrderPhotoStore.named(digests)).column(String.self))
        }
    }

    private func claiming(in database: PostgresClient) -> Claiming {
        Claiming(
            database: database, messaging: context.messaging, categories: categories, live: numbering, meter: meter)
    }

    func triage(_ lane: Lane) -> TriageHandler {
        TriageHandler(
            categories: categories, sources: context.sources, claims: claims, live: numbering, meter: meter,
            lane: lane)
    }

    /// The two consumers, each in its lane, and what brings in what the broker gave up.
    func consumers() -> [any Service] {
        let emergency = Consumer(
            queue: CityTopology.queue(.dispatch, .emergency), lane: .emergency, service: .dispatch,
            handler: triage(.emergency), producers: [.intake, .notification], messaging: context.messaging,
            database: context.lane, configuration: context.configuration.amqp, eventLoop: context.laneEventLoop,
            executor: context.laneExecutor, logger: context.logger)
        let routine = Consumer(
            queue: CityTopology.queue(.dispatch, .routine), lane: .routine, service: .dispatch,
            handler: triage(.routine), messaging: context.messaging, database: context.background,
            configuration: context.configuration.amqp, eventLoop: context.eventLoop, flow: context.flow,
            logger: context.logger)
        let drain = DeadLetterDrain(
            of: [emergency, routine], service: .dispatch, database: context.background,
            configuration: context.configuration.amqp, eventLoop: context.eventLoop, logger: context.logger)
        return [
            emergency.beginning(after: categories.untilRead)
                .stopping(in: .consumers, name: "emergency consumer").inLane(),
            routine.beginning(after: categories.untilRead).stopping(in: .consumers, name: "routine consumer"),
            drain.stopping(in: .consumers, name: "dead letter drain"),
        ]
    }

    private func addHealthChecks() {
        let categories = categories
        context.health.add(
            HealthCheck("categories") {
                categories.current.readAt == nil ? .failed("not read yet") : .ok
            })
    }

    /// What one instance opens at the database.
    private var connections: Int {
        let pools = [
            context.configuration.poolHTTP, context.configuration.poolBackground, context.configuration.poolLane,
        ]
        // One more each for LISTEN: live stream, and two producers' hints.
        return pools.reduce(3) { $0 + $1.shared + $1.exclusive }
    }
}
