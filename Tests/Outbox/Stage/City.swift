import AMQP
import Foundation
import Logging
import Model
import NIOPosix
import Postgres
import ServiceLifecycle
import Testing

@testable import Outbox

/// A database, a virtual host, and what runs on them for one test.
struct City: Sendable {
    static let district = District.ID(UUID(uuidString: "01900000-0000-7000-8000-0000000000d1") ?? UUID())
    static let loops = MultiThreadedEventLoopGroup.singleton
    static let reactors = [PostgresReactor(name: "test lane"), PostgresReactor(name: "test routine")]
    static let logger: Logger = {
        let level = ProcessInfo.processInfo.environment["SLUICE_TEST_LOG"].flatMap(Logger.Level.init(rawValue:))
        guard let level else { return Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
        var logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        return logger
    }()
    static let sources = Sources(
        now: { Timestamp(secondsSince1970: Date().timeIntervalSince1970) },
        randomUUID: { time in
            var random = SystemRandomNumberGenerator()
            return UUID.version7(at: time, random: &random)
        },
        randomBytes: { count in (0..<count).map { _ in UInt8.random(in: .min ... .max) } })

    let servers: Servers
    let database: String
    let virtualHost: String
    /// Runs what the test starts; ended with the test.
    let group: Running

    static func make() async throws -> City {
        let servers = try await Servers.shared()
        return City(
            servers: servers, database: try await servers.makeDatabase(), virtualHost: servers.makeVirtualHost(),
            group: Running())
    }

    /// A client that runs until the test ends.
    ///
    /// - Parameter idles: the test itself holds transactions open, which services may not do for more than a second.
    func client(
        _ service: ServiceName, role: String = "bg", shared: Int = 2, exclusive: Int = 3, port: Int? = nil,
        reactor: Int = 0, idles: Bool = false
    ) async -> PostgresClient {
        var configuration = servers.configuration(
            database: database, role: "sluice_\(service.schema)_\(role)", port: port)
        if idles { configuration.options.idleInTransactionTimeout = .seconds(120) }
        let client = PostgresClient(
            configuration: configuration,
            shared: shared, exclusive: exclusive, reactor: Self.reactors[reactor], name: "test", logger: Self.logger)
        await group.start(client)
        return client
    }

    func sql(_ text: String) async throws -> String { try await servers.psql(text, in: database) }

    func count(_ table: String, where condition: String = "true") async throws -> Int {
        Int(try await sql("SELECT count(*) FROM \(table) WHERE \(condition)")) ?? -1
    }

    /// An event as intake would make it.
    static func report(
        _ lane: Lane = .routine, district: District.ID = City.district, type: EventType = .reportReceived,
        id: EventRecord.ID? = nil, data: String = #"{"n":1}"#, at time: Timestamp? = nil
    ) -> Event {
        let time = time ?? sources.now()
        return Event(
            id: id ?? EventRecord.ID(sources.randomUUID(time)), source: type.publisher, type: type, time: time,
            district: district, aggregateID: sources.randomUUID(time), aggregateVersion: 1, lane: lane,
            data: Array(data.utf8))
    }
}

/// Services of one test: started one by one, ended together.
actor Running {
    private var tasks: [Task<Void, Never>] = []

    func start(_ service: any Service) {
        tasks.append(Task { try? await service.run() })
    }

    /// Ends what was started last first.
    func stop() async {
        for task in tasks.reversed() {
            task.cancel()
            await task.value
        }
        tasks = []
    }
}

/// One service's side of the stage.
struct Station: Sendable {
    let messaging: Messaging
    let database: PostgresClient
    let services: MessagingServices

    /// - Parameter brokerPort: of a line to the broker, if the test wants to cut it.
    init(
        _ city: City, _ service: ServiceName, brokerPort: Int? = nil, topology: Topology = CityTopology.topology,
        settings: RelaySettings = RelaySettings(), largestBody: Int? = nil, starts: Bool = true
    ) async {
        var broker = city.servers.broker(city.virtualHost, port: brokerPort)
        if let largestBody { broker.largestBody = largestBody }
        messaging = Messaging(service: service, sources: City.sources, version: "test")
        database = await city.client(service)
        services = MessagingServices(
            messaging: messaging, databases: MessagingDatabases(lane: database, background: database),
            amqp: broker,
            loops: MessagingLoops(lane: City.loops.next(), routine: City.loops.next()), flow: nil, settings: settings,
            topology: topology, logger: City.logger)
        if starts { for service in services.services { await city.group.start(service) } }
    }

    func announce(_ events: [Event]) async throws {
        _ = try await database.segment(messaging.announce(events.map { Announcement(event: $0, actor: "test") }))
        messaging.committed(Set(events.map(\.lane)))
    }
}

/// Runs a test in a city of its own.
func withCity(_ body: (City) async throws -> Void) async throws {
    let city = try await City.make()
    do {
        try await body(city)
        await city.group.stop()
    } catch {
        await city.group.stop()
        throw error
    }
}

/// Asks again until it is so; gives up, as a failure of the test, after a minute and a half.
func eventually(
    _ what: Comment, location: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    for _ in 0..<900 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(100))
    }
    Issue.record("it never came true: \(what)", sourceLocation: location)
}

extension Station {
    var isConnected: Bool {
        services.health.routinePublisher.isConnected && services.health.emergencyPublisher.isConnected
    }
}
