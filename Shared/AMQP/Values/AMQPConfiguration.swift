/// How to reach the broker.
public struct AMQPConfiguration: Sendable {
    public struct Host: Sendable, Hashable, CustomStringConvertible {
        public var name: String
        public var port: Int

        public init(_ name: String, port: Int = 5672) {
            self.name = name
            self.port = port
        }

        public var description: String { "\(name):\(port)" }
    }

    /// A secret that no description, dump or log line shows.
    public struct Password: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable,
        ExpressibleByStringLiteral
    {
        let value: String

        public init(_ value: String) { self.value = value }
        public init(stringLiteral value: String) { self.value = value }
        public var description: String { "***" }
        public var debugDescription: String { "***" }
        public var customMirror: Mirror { Mirror(self, children: []) }
    }

    public enum TLS: Sendable, Hashable {
        case disable
        /// Verify the broker's certificate against the authorities in `caFile` (PEM; the system's if `nil`), and its name
        /// against `serverName` (the host's name if `nil`).
        case verify(caFile: String?, serverName: String? = nil)
    }

    /// Tried in turn; each attempt to connect begins with the next one.
    public var hosts: [Host]
    public var virtualHost: String
    public var user: String
    public var password: Password
    public var tls: TLS
    /// The beat that is proposed to the broker; the smaller wish wins. Whole seconds on the wire, at least 1.
    public var heartbeat: Duration
    /// Bound of one attempt, from the first packet to the opened virtual host.
    public var connectTimeout: Duration
    /// Largest frame in bytes, 4,096 to 1 MiB; the smaller wish wins.
    public var frameMax: Int
    /// Largest body in bytes that is sent. A broker ends the whole channel over one that is above its own limit
    /// (`max_message_size`: 128 MiB in RabbitMQ 3, 16 MiB in 4), and everything under way on it is unknown then. So this
    /// must not be above that, and a body that is larger is refused before a byte of it is sent.
    public var largestBody: Int
    /// Shown in the broker's list of connections.
    public var connectionName: String
    /// Bound of an answer, of a confirm included. Two heartbeats if `nil`.
    public var answerTimeout: Duration?
    /// First and largest pause between two attempts to connect; each pause is drawn at random below its bound.
    public var backoff: ClosedRange<Duration>

    public init(
        hosts: [Host], virtualHost: String = "/", user: String, password: Password, tls: TLS = .disable,
        heartbeat: Duration = .seconds(5), connectTimeout: Duration = .seconds(5), frameMax: Int = 131_072,
        largestBody: Int = 16 << 20, connectionName: String, answerTimeout: Duration? = nil,
        backoff: ClosedRange<Duration> = .milliseconds(50) ... .seconds(5)
    ) {
        self.hosts = hosts
        self.virtualHost = virtualHost
        self.user = user
        self.password = password
        self.tls = tls
        self.heartbeat = heartbeat
        self.connectTimeout = connectTimeout
        self.frameMax = frameMax
        self.largestBody = largestBody
        self.connectionName = connectionName
        self.answerTimeout = answerTimeout
        self.backoff = backoff
    }

    /// The smallest frame limit that the protocol lets two ends agree on.
    public static let frameMaxFloor = 4096
    static let frameMaxCeiling = 1 << 20

    /// What is wrong with the values, one sentence each; empty if they can be used.
    public var faults: [String] {
        var faults: [String] = []
        if hosts.isEmpty { faults.append("no broker host is given") }
        for host in hosts where host.name.isEmpty || !(1...65_535).contains(host.port) {
            faults.append("broker host or port is not valid: \(host)")
        }
        if !(Self.frameMaxFloor...Self.frameMaxCeiling).contains(frameMax) {
            faults.append("frame limit must be \(Self.frameMaxFloor) to \(Self.frameMaxCeiling) bytes")
        }
        if largestBody < 0 || largestBody > ContentAssembly.largestBody {
            faults.append("body limit must be 0 to \(ContentAssembly.largestBody) bytes")
        }
        if heartbeat < .seconds(1) || heartbeat > .seconds(60) { faults.append("heartbeat must be 1 to 60 s") }
        if connectTimeout <= .zero { faults.append("connect timeout must be above 0") }
        if let answerTimeout, answerTimeout <= .zero { faults.append("answer timeout must be above 0") }
        if backoff.lowerBound <= .zero { faults.append("pause between attempts to connect must be above 0") }
        if virtualHost.utf8.count > 255 || user.utf8.count > 255 || connectionName.utf8.count > 255 {
            faults.append("virtual host, user and connection name may have 255 bytes each")
        }
        return faults
    }
}
