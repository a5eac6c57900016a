import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// The server that only operators reach: `/metrics`, `/health/live`, `/health/ready`.
enum OperationsServer {
    static func application(_ context: ServiceContext) -> some ApplicationProtocol {
        let router = Router(context: BasicRequestContext.self)
        let metrics = context.metrics
        let health = context.health
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: metrics.text() + ProcessMetrics.text())))
        }
        // That this is answered is the answer.
        router.get("/health/live") { _, _ in json(.ok, Array(#"{"status":"live"}"#.utf8)) }
        router.get("/health/ready") { _, _ in
            let report = await health.report()
            return json(report.isReady ? .ok : .serviceUnavailable, report.json())
        }
        let listener = context.configuration.operations
        return Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname(listener.host, port: listener.port)),
            eventLoopGroupProvider: .shared(context.eventLoops), logger: context.logger.quiet)
    }

    private static func json(_ status: HTTPResponse.Status, _ bytes: [UInt8]) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

extension Logger {
    /// For a framework whose notices are of no use to operators.
    var quiet: Logger {
        var logger = self
        if logger.logLevel < .warning { logger.logLevel = .warning }
        return logger
    }
}
