import AMQP
public import Hummingbird
import Logging
import NIOCore
import Outbox
import Postgres
public import ServiceLifecycle
import UnixSignals

/// The HTTP application of a service: its routes inside what every service has around them. Tests use the same one.
public func application(
    _ context: ServiceContext, router: Router<APIContext>, document: OpenAPIDocument
) -> Application<ServiceResponder<RouterResponder<APIContext>>> {
    let listener = context.configuration.http
    return Application(
        responder: ServiceResponder(
            routes: router.buildResponder(), document: document, verifier: context.verifier,
            publicURL: context.configuration.publicURL, sources: context.sources, metrics: context.metrics),
        server: .http1(
            configuration: .init(
                idleTimeout: .seconds(75),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100))),
        configuration: ApplicationConfiguration(address: .hostname(listener.host, port: listener.port)),
        eventLoopGroupProvider: .shared(context.eventLoops), logger: context.logger.quiet)
}

/// Runs a service until SIGTERM or SIGINT, or until a part of it fails; then stops it in order (`StopPhase`).
///
/// - Parameters:
///   - services: what the service runs besides. Each may say when it is stopped: `.stopping(in: .consumers)`. The relays
///     of `messagingServices` run unless it brings its own.
///   - views: the `api_*` views of others that it reads; it is ready once each has shown its permanent row, so that a
///     lost grant is not taken for a quiet day.
/// - Throws: `UncleanStop` if anything failed, ended by itself, or had to be forced.
public func serve(
    _ context: ServiceContext, router: Router<APIContext>, document: OpenAPIDocument, services: [any Service],
    views: [String] = []
) async throws {
    // Before anything starts: a signal that comes during the start is kept, and stops what has started.
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    try await serve(
        context, router: router, document: document, services: services, views: views, stops: signals.map { "\($0)" })
}

/// The same, stopped by whatever `stops` gives.
func serve(
    _ context: ServiceContext, router: Router<APIContext>, document: OpenAPIDocument, services: [any Service],
    views: [String], stops: some AsyncSequence<String, Never> & Sendable
) async throws {
    addHealthChecks(context, views: views)
    // Whatever a service announces has to get out, so the relays are not left to each service to remember.
    let hasOwnRelays = services.contains { SupervisedService.wrap($0).service is AMQPPublisher }
    let messaging = hasOwnRelays ? [] : context.messagingServices()
    let standing: [any Service] = [
        context.http.stopping(in: .database, name: "database http"),
        context.background.stopping(in: .database, name: "database background"),
        context.lane.stopping(in: .database, name: "database lane").inLane(),
        context.verifier.stopping(in: .work, name: "token keys"),
        context.flow.stopping(in: .work, name: "flow control"),
        IdempotencyPurge(service: context.service, database: context.background, logger: context.logger)
            .stopping(in: .work, name: "idempotency purge"),
        MemoryTrim().stopping(in: .work, name: "memory trim"),
        OperationsServer.application(context).stopping(in: .operations, name: "operations server"),
    ]
    let http = application(context, router: router, document: document)
        .stopping(in: .intake, name: "http server")
    let supervisor = Supervisor(
        services: standing + messaging + services + [http], logger: context.logger, laneExecutor: context.laneExecutor)
    let health = context.health
    try await supervisor.run(stops: stops) { health.stop() }
}

private func addHealthChecks(_ context: ServiceContext, views: [String]) {
    for client in [context.http, context.background, context.lane] {
        context.health.add(
            HealthCheck("database_\(client.name)") {
                let health = client.health
                if health.isReady { return .ok }
                return .failed(health.lastError.map { "\($0)" } ?? "no connection yet")
            })
    }
    let verifier = context.verifier
    context.health.add(HealthCheck("token_keys") { verifier.isReady ? .ok : .degraded("no keys read yet") })
    if !views.isEmpty {
        let check = ViewCheck(views: views, database: context.http)
        context.health.add(HealthCheck("views") { await check.answer() })
    }
}
