/// Where the server is, who we are, and how long anything may take.
public struct PostgresConfiguration: Sendable {
    /// How the connection is protected.
    public enum TLS: Sendable, Hashable {
        case disable
        /// Encrypted, but whoever answers is believed.
        case require
        /// Encrypted, and the certificate must be signed by a root in this PEM file and name `host`.
        case verifyFull(rootCertificateFile: String)
    }

    /// Host name, address, or the folder of a Unix socket (begins with `/`). Several, separated by commas, are tried
    /// in turn until one takes writes.
    public var host: String
    public var port: Int
    public var database: String
    public var user: String
    public var password: Secret?
    public var tls: TLS
    /// Shown in `pg_stat_activity`.
    public var applicationName: String
    public var options: SessionOptions

    /// Until a session is ready, name look-up and sign-in included.
    public var connectTimeout: Duration
    /// How long a request may wait for a connection, and how long the trip at the head of a connection may take
    /// before that connection is dropped. The net under everything that the server's own time-outs do not catch.
    public var queryDeadline: Duration
    /// A connection older than this is replaced when it is next idle.
    public var maxConnectionAge: Duration
    /// `lock_timeout` of shared connections: a segment that waits longer runs again on an exclusive one, so that it
    /// does not hold up the callers behind it.
    public var sharedLockTimeout: Duration
    /// Segments that may be under way on one shared connection at a time.
    public var segmentsPerConnection: Int
    /// Prepared statements that a connection keeps; the least recently used go first.
    public var preparedStatements: Int
    /// False accepts a hot standby: for reads only.
    public var requiresWritable: Bool

    public init(
        host: String = "127.0.0.1", port: Int = 5432, database: String, user: String, password: Secret? = nil,
        tls: TLS = .disable, applicationName: String = "sluice", options: SessionOptions = SessionOptions(),
        connectTimeout: Duration = .seconds(5), queryDeadline: Duration = .seconds(10),
        maxConnectionAge: Duration = .seconds(1800), sharedLockTimeout: Duration = .milliseconds(20),
        segmentsPerConnection: Int = 32, preparedStatements: Int = 256, requiresWritable: Bool = true
    ) {
        self.host = host
        self.port = port
        self.database = database
        self.user = user
        self.password = password
        self.tls = tls
        self.applicationName = applicationName
        self.options = options
        self.connectTimeout = connectTimeout
        self.queryDeadline = queryDeadline
        self.maxConnectionAge = maxConnectionAge
        self.sharedLockTimeout = sharedLockTimeout
        self.segmentsPerConnection = segmentsPerConnection
        self.preparedStatements = preparedStatements
        self.requiresWritable = requiresWritable
    }
}

/// Server settings of each session. What is nil stays as the role or the server has it.
public struct SessionOptions: Sendable, Hashable {
    public var statementTimeout: Duration?
    /// Of exclusive connections; shared ones have `PostgresConfiguration.sharedLockTimeout`.
    public var lockTimeout: Duration?
    public var idleInTransactionTimeout: Duration?
    /// Only a superuser, or a role that was granted it, may set this one.
    public var deadlockTimeout: Duration?
    public var synchronousCommit: Bool?
    public var searchPath: String?

    public init(
        statementTimeout: Duration? = nil, lockTimeout: Duration? = nil, idleInTransactionTimeout: Duration? = nil,
        deadlockTimeout: Duration? = nil, synchronousCommit: Bool? = nil, searchPath: String? = nil
    ) {
        self.statementTimeout = statementTimeout
        self.lockTimeout = lockTimeout
        self.idleInTransactionTimeout = idleInTransactionTimeout
        self.deadlockTimeout = deadlockTimeout
        self.synchronousCommit = synchronousCommit
        self.searchPath = searchPath
    }
}

/// What a connection is for; decides its time-outs and who may use it.
enum SessionRole: Sendable, Hashable {
    case shared
    case exclusive
    case listener
}

extension PostgresConfiguration {
    /// The keywords and values that libpq connects with.
    func connectionParameters(role: SessionRole, addresses: [Resolver.Address]) -> [(String, String)] {
        var parameters: [(String, String)] = [
            ("host", addresses.map(\.host).joined(separator: ",")), ("port", String(port)), ("dbname", database),
            ("user", user),
            ("application_name", applicationName), ("client_encoding", "UTF8"),
            // A look-up of Kerberos tickets would block, and nothing here uses them.
            ("gssencmode", "disable"),
            // Notice a peer that vanished without a word even on an idle connection.
            ("keepalives_idle", "5"), ("keepalives_interval", "2"), ("keepalives_count", "3"),
            ("tcp_user_timeout", String(queryDeadline.milliseconds)),
            ("target_session_attrs", requiresWritable ? "read-write" : "any"),
            ("options", serverOptions(role: role)),
        ]
        // An empty entry belongs to a Unix socket.
        parameters.append(("hostaddr", addresses.map { $0.numeric ?? "" }.joined(separator: ",")))
        // Without a password libpq would look for a file in the home folder.
        parameters.append(("passfile", "/dev/null"))
        if let password { parameters.append(("password", password.value)) }
        switch tls {
        case .disable: parameters.append(("sslmode", "disable"))
        case .require: parameters.append(("sslmode", "require"))
        case .verifyFull(let file):
            parameters.append(("sslmode", "verify-full"))
            parameters.append(("sslrootcert", file))
        }
        return parameters
    }

    private func serverOptions(role: SessionRole) -> String {
        // Results are read as text, so their form must not depend on the server's or the role's settings.
        var settings = [
            ("TimeZone", "UTC"), ("DateStyle", "ISO,MDY"), ("bytea_output", "hex"), ("extra_float_digits", "1"),
        ]
        if let timeout = options.statementTimeout, role != .listener {
            settings.append(("statement_timeout", String(timeout.milliseconds)))
        }
        let lockTimeout = role == .shared ? sharedLockTimeout : options.lockTimeout
        if let lockTimeout { settings.append(("lock_timeout", String(lockTimeout.milliseconds))) }
        if let timeout = options.idleInTransactionTimeout {
            settings.append(("idle_in_transaction_session_timeout", String(timeout.milliseconds)))
        }
        if let timeout = options.deadlockTimeout {
            settings.append(("deadlock_timeout", String(timeout.milliseconds)))
        }
        if let on = options.synchronousCommit { settings.append(("synchronous_commit", on ? "on" : "off")) }
        if let path = options.searchPath { settings.append(("search_path", path)) }
        return settings.map { "-c \($0)=\(Self.escapedOption($1))" }.joined(separator: " ")
    }

    /// Blanks and backslashes separate options, so each is written with a backslash before it.
    private static func escapedOption(_ value: String) -> String {
        var escaped = ""
        for character in value {
            if character == " " || character == "\\" { escaped.append("\\") }
            escaped.append(character)
        }
        return escaped
    }
}

extension Duration {
    /// Whole milliseconds, at least 1: a 0 would mean "no limit" to the server.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return max(1, seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }
}
