public import AMQP
import Glibc
public import Logging
public import Model
public import Postgres

/// All settings of a service, checked. The table in CONTRACTS.md §2 is the list of names.
public struct ServiceConfiguration: Sendable {
    public struct Listener: Sendable, Hashable {
        public var host: String
        public var port: Int
    }

    /// Outgoing mail.
    public struct SMTP: Sendable, Hashable {
        public enum TLS: String, Sendable, CaseIterable { case disable, starttls, tls }

        public var host: String
        public var port: Int
        public var from: String
        public var tls: TLS
        public var user: String?
        public var password: Secret?
        /// PEM file of the authorities that the server's certificate may come from; nil trusts the system's.
        public var authorities: String?
    }

    /// How many connections each pool keeps (shared, exclusive).
    public struct Pool: Sendable, Hashable {
        public var shared: Int
        public var exclusive: Int

        public init(shared: Int, exclusive: Int) {
            self.shared = shared
            self.exclusive = exclusive
        }
    }

    public let service: ServiceName
    public var http: Listener
    public var operations: Listener
    public var databaseHTTP: PostgresConfiguration
    public var databaseBackground: PostgresConfiguration
    /// The background role with the lane's time-outs.
    public var databaseLane: PostgresConfiguration
    public var poolHTTP: Pool
    public var poolBackground: Pool
    public var poolLane: Pool
    public var amqp: AMQPConfiguration
    /// Without a slash at the end.
    public var publicURL: String
    /// 32 bytes in base64; there for intake and notification.
    public var masterKey: Secret?
    public var smtp: SMTP
    /// Where photos are kept; there for intake and dispatch, each its own.
    public var attachmentsDirectory: String?
    /// `host:port` of private addresses that webhooks may go to.
    public var webhookPrivateHosts: [String]
    public var instance: String
    public var logLevel: Logger.Level
    private let environment: Environment

    /// Reads and checks everything. Throws all errors at once.
    public static func load(
        service: ServiceName, environment: [String: String]
    ) throws(ConfigurationErrors) -> ServiceConfiguration {
        var reader = ConfigurationReader(environment: environment)
        let configuration = ServiceConfiguration(service, &reader, environment)
        try reader.finish()
        return configuration
    }

    /// A setting of one service's own. Throws what `read` noted.
    public func read<T>(_ read: (inout ConfigurationReader) -> T) throws(ConfigurationErrors) -> T {
        var reader = ConfigurationReader(environment: environment.values)
        let value = read(&reader)
        try reader.finish()
        return value
    }

    /// The text of a setting of one service's own; nil if it is not set.
    public func value(_ name: String) throws(ConfigurationErrors) -> String? {
        try read { $0.optional(name) }
    }

    private init(_ service: ServiceName, _ reader: inout ConfigurationReader, _ environment: [String: String]) {
        self.service = service
        self.environment = Environment(values: environment)
        let base = reader.integer("SLUICE_PORT_BASE", default: 21_000, 1_024...65_000)
        let host = reader.text("SLUICE_HTTP_HOST", default: "127.0.0.1")
        let port = reader.port("SLUICE_HTTP_PORT", default: base + service.portOffset)
        self.http = Listener(host: host, port: port)
        self.operations = Listener(
            host: host, port: reader.port("SLUICE_OPERATIONS_PORT", default: min(port + 100, 65_535)))
        self.instance = reader.text("SLUICE_INSTANCE", default: "\(Self.hostName())-\(getpid())")
        self.logLevel = reader.word("SLUICE_LOG_LEVEL", default: .info)

        let database = DatabaseSettings(&reader, base: base)
        let application = "sluice-\(service.rawValue)/\(instance)"
        self.databaseHTTP = database.configuration(
            user: "sluice_\(service.schema)_http",
            password: reader.secret("SLUICE_DB_HTTP_PASSWORD", "password of sluice_\(service.schema)_http"),
            application: application, statementTimeout: .seconds(5))
        let password = reader.secret("SLUICE_DB_BACKGROUND_PASSWORD", "password of sluice_\(service.schema)_bg")
        self.databaseBackground = database.configuration(
            user: "sluice_\(service.schema)_bg", password: password, application: application,
            statementTimeout: .seconds(30))
        self.databaseLane = database.configuration(
            user: "sluice_\(service.schema)_bg", password: password, application: application + "/lane",
            statementTimeout: .seconds(1))
        self.poolHTTP = reader.pool("SLUICE_DB_HTTP_CONNECTIONS", default: Pool(shared: 2, exclusive: 4))
        self.poolBackground = reader.pool("SLUICE_DB_BACKGROUND_CONNECTIONS", default: Pool(shared: 2, exclusive: 8))
        self.poolLane = reader.pool("SLUICE_DB_LANE_CONNECTIONS", default: Pool(shared: 1, exclusive: 4))

        self.amqp = Self.amqp(service, &reader, base: base, name: application)
        self.publicURL = reader.origin("SLUICE_PUBLIC_URL", default: "http://127.0.0.1:8080")
        self.masterKey = Self.masterKey(service, &reader)
        self.smtp = Self.smtp(&reader, base: base)
        self.webhookPrivateHosts = reader.text("SLUICE_WEBHOOK_ALLOW_PRIVATE", default: "")
            .split(separator: ",").map { $0.trimmingBlanks() }
        self.attachmentsDirectory = reader.writableFolder("SLUICE_ATTACHMENTS_DIR")
        if service == .intake || service == .dispatch, attachmentsDirectory == nil {
            _ = reader.required("SLUICE_ATTACHMENTS_DIR", "the folder of uploaded files")
        }
    }

    private static func smtp(_ reader: inout ConfigurationReader, base: Int) -> SMTP {
        let smtp = SMTP(
            host: reader.text("SLUICE_SMTP_HOST", default: "127.0.0.1"),
            port: reader.port("SLUICE_SMTP_PORT", default: base + 5),
            from: reader.text("SLUICE_SMTP_FROM", default: "sluice@localhost"),
            tls: reader.word("SLUICE_SMTP_TLS", default: .disable), user: reader.optional("SLUICE_SMTP_USER"),
            password: reader.optional("SLUICE_SMTP_PASSWORD").map { Secret($0) },
            authorities: reader.readableFile("SLUICE_SMTP_CA_FILE"))
        if !smtp.from.contains("@") { reader.fail("SLUICE_SMTP_FROM", "must be a mail address") }
        if (smtp.user == nil) != (smtp.password == nil) {
            reader.fail("SLUICE_SMTP_USER", "needs SLUICE_SMTP_PASSWORD, and the other way round")
        }
        if smtp.user != nil, smtp.tls == .disable {
            reader.fail("SLUICE_SMTP_TLS", "must be starttls or tls: a password is sent only inside TLS")
        }
        return smtp
    }

    private static func amqp(
        _ service: ServiceName, _ reader: inout ConfigurationReader, base: Int, name: String
    ) -> AMQPConfiguration {
        let hosts = reader.hosts("SLUICE_AMQP_HOSTS", default: "127.0.0.1:\(base + 2)")
        let tls: AMQPConfiguration.TLS
        switch reader.word("SLUICE_AMQP_TLS", default: AMQPTransport.disable) {
        case .disable: tls = .disable
        case .verify: tls = .verify(caFile: reader.readableFile("SLUICE_AMQP_CA_FILE"))
        }
        let configuration = AMQPConfiguration(
            hosts: hosts.map { AMQPConfiguration.Host($0.host, port: $0.port) },
            virtualHost: reader.text("SLUICE_AMQP_VHOST", default: "sluice"),
            user: reader.text("SLUICE_AMQP_USER", default: service.rawValue),
            password: .init(reader.secret("SLUICE_AMQP_PASSWORD", "password of the broker's user").value), tls: tls,
            connectionName: name)
        if !hosts.isEmpty {
            for fault in configuration.faults { reader.fail("SLUICE_AMQP_*", fault) }
        }
        return configuration
    }

    private static func masterKey(_ service: ServiceName, _ reader: inout ConfigurationReader) -> Secret? {
        let isNeeded = service == .intake || service == .notification
        let text =
            isNeeded
            ? reader.required("SLUICE_MASTER_KEY", "32 bytes in base64") : reader.optional("SLUICE_MASTER_KEY") ?? ""
        if text.isEmpty { return nil }
        guard Base64URL.decode(lenient: text)?.count == 32 else {
            reader.fail("SLUICE_MASTER_KEY", "must be 32 bytes in base64")
            return nil
        }
        return Secret(text)
    }

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 65)
        let isKnown = gethostname(&buffer, buffer.count - 1) == 0
        let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return isKnown && !name.isEmpty ? name : "host"
    }

    private enum AMQPTransport: String, CaseIterable { case disable, verify }
}

/// What the process was started with: secrets are among it, so it is never printed.
private struct Environment: Sendable, CustomStringConvertible, CustomReflectable {
    let values: [String: String]

    var description: String { "***" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

extension ServiceConfiguration {
    /// The bytes of the master key; nil if there is none.
    public var masterKeyBytes: [UInt8]? { masterKey.flatMap { Base64URL.decode(lenient: $0.value) } }
}

extension ServiceName {
    /// Where the service listens above the port base.
    public var portOffset: Int {
        switch self {
        case .intake: 10
        case .dispatch: 20
        case .gisSync: 30
        case .scoring: 40
        case .notification: 50
        }
    }
}

/// Where PostgreSQL is; the same for all roles.
struct DatabaseSettings {
    enum TLS: String, CaseIterable {
        case disable, require
        case verifyFull = "verify-full"
    }

    private let host: String
    private let port: Int
    private let name: String
    private let tls: PostgresConfiguration.TLS

    init(_ reader: inout ConfigurationReader, base: Int) {
        host = reader.text("SLUICE_DB_HOST", default: "127.0.0.1")
        port = reader.port("SLUICE_DB_PORT", default: base + 1)
        name = reader.text("SLUICE_DB_NAME", default: "sluice")
        switch reader.word("SLUICE_DB_TLS", default: TLS.disable) {
        case .disable: tls = .disable
        case .require: tls = .require
        case .verifyFull:
            let file = reader.readableFile("SLUICE_DB_CA_FILE")
            if file == nil { reader.fail("SLUICE_DB_CA_FILE", "is required by SLUICE_DB_TLS=verify-full") }
            tls = .verifyFull(rootCertificateFile: file ?? "")
        }
    }

    func configuration(
        user: String, password: Secret, application: String, statementTimeout: Duration
    ) -> PostgresConfiguration {
        PostgresConfiguration(
            host: host, port: port, database: name, user: user, password: password, tls: tls,
            // PostgreSQL cuts longer names.
            applicationName: String(application.prefix(63)),
            options: SessionOptions(statementTimeout: statementTimeout, idleInTransactionTimeout: .seconds(1)))
    }
}

extension ConfigurationReader {
    /// `shared+exclusive`, such as `2+4`.
    mutating func pool(_ name: String, default fallback: ServiceConfiguration.Pool) -> ServiceConfiguration.Pool {
        guard let text = optional(name) else { return fallback }
        let parts = text.split(separator: "+").map { Int($0) }
        guard parts.count == 2, let shared = parts[0], let exclusive = parts[1], (1...64).contains(shared),
            (1...64).contains(exclusive)
        else {
            fail(name, "must be shared+exclusive, such as 2+4, each 1 to 64")
            return fallback
        }
        return ServiceConfiguration.Pool(shared: shared, exclusive: exclusive)
    }
}
