public import Hummingbird
import Logging
import Model
import NIOCore
import Outbox
import Rules
public import ServiceKit

/// notification: tells street offices of cases, by webhook and mail, until somebody acknowledges.
public struct NotificationService: Sendable {
    let context: ServiceContext
    let settings: NotificationSettings
    let keys: NotificationKeys
    let bell = SendBell()
    let announcer: NoticeAnnouncer
    let maker: NoticeMaker
    let laneChannels: Channels
    let routineChannels: Channels

    /// Throws `ConfigurationErrors` if the master key or a setting is wrong.
    public init(_ context: ServiceContext) throws {
        self.context = context
        self.settings = try NotificationSettings(context.configuration)
        self.keys = NotificationKeys(master: settings.masterKey)
        self.announcer = NoticeAnnouncer(sources: context.sources)
        self.maker = NoticeMaker(sources: context.sources, terms: settings.terms)
        let listed = context.configuration.webhookPrivateHosts
        let keys = keys
        // Each lane looks names up by itself.
        func channels(_ loop: any EventLoopGroup) -> Channels {
            Channels(
                keys: keys,
                webhook: Webhook(
                    eventLoops: loop, addresses: OutgoingAddresses(listed: listed, lookUps: NameLookUps())),
                mail: SMTP(server: context.configuration.smtp, eventLoops: loop))
        }
        self.laneChannels = channels(context.laneEventLoop)
        self.routineChannels = channels(context.eventLoop)
    }

    /// The routes with their description. Tests build the same.
    public func routes() -> (router: Router<APIContext>, document: OpenAPIDocument) {
        let router = Router(context: APIContext.self)
        var document = OpenAPIDocument(
            service: .notification, title: "Sluice notification",
            summary: "Notices to street offices, acknowledgements, offices, channels")
        let acknowledging = Acknowledging(
            database: context.http, messaging: context.messaging, announcer: announcer)
        NoticeRoutes(database: context.http, acknowledging: acknowledging).register(on: router, in: &document)
        LinkRoutes(
            database: context.http, acknowledging: acknowledging, keys: keys, sources: context.sources,
            limiter: RateLimiter(rate: 5, burst: 60)
        ).register(on: router, in: &document)
        OfficeRoutes(database: context.http, sources: context.sources).register(on: router, in: &document)
        RecipientRoutes(database: context.http, sources: context.sources).register(on: router, in: &document)
        ChannelRoutes(database: context.http, sources: context.sources, channels: routineChannels)
            .register(on: router, in: &document)
        return (router, document)
    }

    private func consumer(_ lane: Lane) -> Consumer {
        let isLane = lane == .emergency
        return Consumer(
            queue: isLane ? "notification.emergency" : "notification.routine", lane: lane, service: .notification,
            handler: CaseHandler(maker: maker, bell: bell), producers: [.dispatch], messaging: context.messaging,
            database: isLane ? context.lane : context.background, configuration: context.configuration.amqp,
            eventLoop: isLane ? context.laneEventLoop : context.eventLoop, flow: context.flow,
            executor: isLane ? context.laneExecutor : nil, logger: context.logger)
    }

    private func sender(_ lane: Lane) -> Sender {
        let isLane = lane == .emergency
        return Sender(
            lane: lane, database: isLane ? context.lane : context.background, messaging: context.messaging,
            announcer: announcer, bell: bell, channels: isLane ? laneChannels : routineChannels,
            publicURL: context.configuration.publicURL, executor: isLane ? context.laneExecutor : nil,
            logger: context.logger)
    }

    /// Serves until the process is told to stop.
    public func serve() async throws {
        let (router, document) = routes()
        let (emergency, routine) = (consumer(.emergency), consumer(.routine))
        let drain = DeadLetterDrain(
            of: [emergency, routine], service: .notification, database: context.background,
            configuration: context.configuration.amqp, eventLoop: context.eventLoop, logger: context.logger)
        let escalation = Escalation(
            database: context.lane, messaging: context.messaging, maker: maker, announcer: announcer, bell: bell,
            logger: context.logger)
        try await ServiceKit.serve(
            context, router: router, document: document,
            services: [
                emergency.stopping(in: .consumers, name: "emergency cases").inLane(),
                routine.stopping(in: .consumers, name: "routine cases"),
                drain.stopping(in: .consumers, name: "dead letter drain"),
                sender(.emergency).stopping(in: .work, name: "emergency sender").inLane(),
                sender(.routine).stopping(in: .work, name: "routine sender"),
                escalation.stopping(in: .work, name: "escalation").inLane(),
            ],
            views: [
                "intake.api_jwks", "intake.api_revocation", "dispatch.api_case", "dispatch.api_category",
                "gis.api_place",
            ])
    }
}
