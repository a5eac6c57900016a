public import Hummingbird
import Logging
import Model
import Outbox
public import ServiceKit

/// scoring: the evidence ledger, and the figures that rest on it.
public struct ScoringService: Sendable {
    let context: ServiceContext
    /// In whose calendar a month begins.
    let timeZone: String

    public init(_ context: ServiceContext, timeZone: String = "Asia/Shanghai") {
        self.context = context
        self.timeZone = timeZone
    }

    /// The routes with their description. Tests build the same.
    public func routes() -> (router: Router<APIContext>, document: OpenAPIDocument) {
        let router = Router(context: APIContext.self)
        var document = OpenAPIDocument(
            service: .scoring, title: "Sluice scoring", summary: "Evidence and the indicators that rest on it")
        IndicatorRoutes(database: context.http, timeZone: timeZone, now: context.sources.now)
            .register(on: router, in: &document)
        EvidenceRoutes(database: context.http).register(on: router, in: &document)
        return (router, document)
    }

    /// The consumer of everything that the others announce. One queue for both lanes: the ledger is never in a hurry.
    func consumer() -> Consumer {
        Consumer(
            queue: "scoring.events", lane: .routine, service: .scoring, handler: LedgerHandler(),
            messaging: context.messaging, database: context.background, configuration: context.configuration.amqp,
            eventLoop: context.eventLoop, flow: context.flow, logger: context.logger)
    }

    /// Serves until the process is told to stop.
    public func serve() async throws {
        let (router, document) = routes()
        let catchUp = CatchUp(ledger: Ledger(database: context.background), logger: context.logger)
        let upkeep = LedgerUpkeep(database: context.background, logger: context.logger)
        let calendar = CalendarCheck(timeZone: timeZone, database: context.background, logger: context.logger)
        try await ServiceKit.serve(
            context, router: router, document: document,
            services: [
                consumer().stopping(in: .consumers, name: "ledger"), catchUp.stopping(in: .work, name: "catch-up"),
                upkeep.stopping(in: .work, name: "upkeep"),
                calendar.stopping(in: .work, name: "calendar").allowedToEnd(),
            ],
            views: ["intake.api_jwks", "intake.api_revocation", "gis.api_place"])
    }
}
