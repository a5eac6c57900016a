import CoreMetrics
public import FoundationEssentials
import Glibc
import Logging
public import Model

/// The life of a service's process: settings, log, metrics, then the service; and an exit code that tells how it ended.
public enum ServiceProcess {
    /// Ended as asked.
    public static let clean: Int32 = 0
    /// Something failed, or had to be forced to stop.
    public static let broken: Int32 = 1
    /// The settings are wrong (`EX_CONFIG`).
    public static let misconfigured: Int32 = 78

    /// Runs `body` with a context made from the environment, and ends the process.
    ///
    ///     await ServiceProcess.run(.intake) { context in
    ///         try await IntakeService(context).serve()
    ///     }
    public static func run(
        _ service: ServiceName, environment: [String: String] = ProcessInfo.processInfo.environment,
        _ body: @Sendable (ServiceContext) async throws -> Void
    ) async -> Never {
        // A peer that has gone is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)

        Allocator.limitArenas(2)
        let writer = LogWriter()
        writer.start()
        let configuration: ServiceConfiguration
        do {
            configuration = try ServiceConfiguration.load(service: service, environment: environment)
        } catch {
            ProcessLog.start(service: service.rawValue, instance: "-", level: .info, writer: writer)
            let logger = Logger(label: "sluice")
            for item in error.items {
                logger.critical(
                    "A setting is wrong", metadata: ["setting": "\(item.name)", "detail": "\(item.detail)"])
            }
            writer.flush()
            exit(misconfigured)
        }
        ProcessLog.start(
            service: service.rawValue, instance: configuration.instance, level: configuration.logLevel, writer: writer)
        let metrics = MetricsRegistry()
        MetricsSystem.bootstrap(metrics)
        let logger = Logger(label: "sluice")
        do {
            try await body(ServiceContext(configuration: configuration, logger: logger, metrics: metrics))
            writer.flush()
            exit(clean)
        } catch {
            logger.critical("Ended in failure", metadata: ["error": "\(error)"])
            writer.flush()
            exit(error is ConfigurationErrors ? misconfigured : broken)
        }
    }
}

/// The process's log: one JSON line a record on standard error.
enum ProcessLog {
    static func start(service: String, instance: String, level: Logger.Level, writer: LogWriter) {
        LoggingSystem.bootstrap { label in
            JSONLogHandler(
                label: label, service: service, instance: instance, level: level, now: { Timestamp.now() },
                sink: { writer.write($0) })
        }
    }
}
