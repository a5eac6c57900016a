internal import FoundationEssentials
public import Model
public import Postgres
internal import ServiceLifecycle

/// Announces again what a consumer never got: events of an acting hop that have no outbox row and are missing in their
/// consumer's `api_inbox` (which also shows what is parked and what is dead). So an emptied broker heals by itself.
///
/// What merely waits in a queue is in neither place. So no routine event is announced again while its consumer's queue
/// holds any: else a consumer that is away would be sent the same events each minute.
public struct Healer: Sendable {
    public let service: ServiceName
    private let database: PostgresClient
    /// What waits in the acting queues; nil for who does not look at them.
    private let bound: QueueBound?
    private let holder = UUID()
    /// Events of one look.
    private static let chunk = 500
    /// Looks of one pass at each consumer: 10,000 events, some tenths of a second of the server's time.
    private static let chunksOfPass = 20
    /// The nightly task among the leases.
    private static let night = "heal night"
    /// Where the next pass goes on, by consumer.
    private let positions = Mutexed<[ServiceName: UUID]>([:])

    public init(service: ServiceName, database: PostgresClient) {
        self.init(service: service, database: database, bound: nil)
    }

    init(service: ServiceName, database: PostgresClient, bound: QueueBound?) {
        self.service = service
        self.database = database
        self.bound = bound
    }

    /// What one pass found.
    public struct Report: Sendable, Hashable {
        /// Events of the span that somebody must act on.
        public var examined = 0
        /// Still on their way: an outbox row exists.
        public var inOutbox = 0
        /// In their consumer's inbox, parked, or dead.
        public var arrived = 0
        /// Nowhere. With `announcing` they have been put into the outbox again.
        public var missing: [EventRecord.ID] = []
        public var announcedAgain = 0

        public var balances: Bool { examined == inOutbox + arrived + missing.count }
    }

    /// The types that a consumer acts on, each with the schema of the consumer.
    static func hops(of service: ServiceName) -> [(consumer: ServiceName, types: [EventType])] {
        let types = EventType.allCases.filter { $0.publisher == service && !$0.emergencyConsumers.isEmpty }
        let consumers = Set(types.flatMap(\.emergencyConsumers))
        return consumers.sorted { $0.rawValue < $1.rawValue }.map { consumer in
            (consumer, types.filter { $0.emergencyConsumers.contains(consumer) })
        }
    }

    /// Compares what was recorded in a span of event ids with what arrived, in chunks, each a short transaction.
    ///
    /// - Parameters:
    ///   - span: by the time in the event's id.
    ///   - announcing: put what is missing into the outbox again.
    ///   - limit: at most so many are announced again.
    public func reconcile(
        _ span: Range<Timestamp>, announcing: Bool, limit: Int = .max
    ) async throws -> Report {
        var report = Report()
        for hop in Self.hops(of: service) {
            _ = try await compare(
                hop, from: .version7Floor(at: span.lowerBound), to: .version7Floor(at: span.upperBound),
                announcing: announcing ? limit : 0, into: &report)
        }
        return report
    }

    /// Compares in chunks, at most so many of them.
    /// - Parameter announcing: so many may have been announced again in all.
    /// - Returns: where to go on; nil at the end.
    private func compare(
        _ hop: (consumer: ServiceName, types: [EventType]), from start: UUID, to end: UUID, announcing limit: Int,
        chunks: Int = .max, into report: inout Report
    ) async throws -> UUID? {
        var position = start
        for _ in 0..<chunks {
            // Whoever is asked to stop has little time; what was not looked at is looked at the next time.
            if Task.isShuttingDownGracefully { return position }
            let rows = try await look(hop.consumer, hop.types, from: position, to: end)
            var missing: [UUID] = []
            for row in rows {
                report.examined += 1
                if row.isInOutbox {
                    report.inOutbox += 1
                } else if row.hasArrived {
                    report.arrived += 1
                } else {
                    missing.append(row.id)
                }
            }
            report.missing += missing.map { EventRecord.ID($0) }
            if !missing.isEmpty, report.announcedAgain < limit {
                report.announcedAgain += try await announceAgain(
                    Array(missing.prefix(limit - report.announcedAgain)),
                    lanes: bound?.isWaiting(in: CityTopology.queue(hop.consumer, .routine)) == true
                        ? [.emergency] : Lane.allCases)
            }
            guard let last = rows.last, rows.count == Self.chunk else { return nil }
            position = last.id.successor
        }
        return position
    }

    /// Each minute: what is 2 to 60 minutes old, so many chunks of it; the next pass goes on where this one ended, and
    /// begins again when it has seen all. After a storm a round takes some passes, and never a core. One instance a minute.
    func healRecent() async throws -> Report {
        var report = Report()
        guard try await lease("heal", for: .seconds(50)) else { return report }
        let now = try await databaseTime()
        let oldest = UUID.version7Floor(at: now - .seconds(3600))
        for hop in Self.hops(of: service) {
            let begun = positions.withLock { $0[hop.consumer] } ?? oldest
            // The re-send limit of the relay bounds the rate; this bounds what one look may add to it.
            let next = try await compare(
                hop, from: max(oldest, begun), to: .version7Floor(at: now - .seconds(120)), announcing: 3_000,
                chunks: Self.chunksOfPass, into: &report)
            positions.withLock { $0[hop.consumer] = next }
        }
        return report
    }

    /// Once a night (02:00 to 04:00 UTC+8 is the quiet time of the cities): the last 80 days.
    func healNightly() async throws { try await healNightly(at: try await databaseTime()) }

    func healNightly(at now: Timestamp) async throws {
        let hour = (now.microseconds / 3_600_000_000 + 8) % 24
        guard (2..<4).contains(hour), try await lease(Self.night, for: .seconds(20 * 3600)) else { return }
        do {
            for days in 1...80 where !Task.isShuttingDownGracefully {
                let from = now - .seconds(86_400 * Int64(days))
                _ = try await reconcile(from..<from + .seconds(86_400), announcing: true, limit: 3_000)
            }
        } catch {
            try? await giveBack(Self.night)
            throw error
        }
        // Not finished: another instance, or this one when it is back, does it this night still.
        if Task.isShuttingDownGracefully { try await giveBack(Self.night) }
    }

    // MARK: - Statements

    private struct Found {
        var id: UUID
        var isInOutbox: Bool
        var hasArrived: Bool
    }

    private func look(
        _ consumer: ServiceName, _ types: [EventType], from: UUID, to: UUID
    ) async throws -> [Found] {
        let schema = service.schema
        let answers = try await database.segment([
            RoutineOutbox.pinnedPlans,
            """
            SELECT h.id,
                   EXISTS (SELECT FROM \(identifier: schema).outbox o WHERE o.id = h.id)
                   OR EXISTS (SELECT FROM \(identifier: schema).emergency_outbox o WHERE o.id = h.id) AS in_outbox,
                   EXISTS (
                       SELECT FROM \(identifier: consumer.schema).api_inbox i
                       WHERE i.event_id = h.id AND i.source = \(service.rawValue)
                         AND i.consumer IN (\(consumer.rawValue + ".emergency"), \(consumer.rawValue + ".routine"))
                   ) AS arrived
            FROM \(identifier: schema).history h
            WHERE h.id >= \(from) AND h.id < \(to) AND h.type = ANY (\(types.map(\.rawValue))) AND NOT h.canary
            ORDER BY h.id
            LIMIT \(Self.chunk)
            """,
        ])
        return try answers[1].map {
            Found(id: try $0.decode("id"), isInOutbox: try $0.decode("in_outbox"), hasArrived: try $0.decode("arrived"))
        }
    }

    /// As rows whose lease has run out: the relay sends them under the re-send limit.
    private func announceAgain(_ ids: [UUID], lanes: [Lane]) async throws -> Int {
        let schema = service.schema
        let rows = try await database.query(
            "SELECT \(Event.historyColumns) FROM \(identifier: schema).history h WHERE h.id = ANY (\(ids))")
        let events = try rows.map { try Event(history: $0, source: service) }.filter { lanes.contains($0.lane) }
        let emergencies = events.filter { $0.lane == .emergency }
        let routine = events.filter { $0.lane == .routine }
        var statements: [SQL] = []
        if !routine.isEmpty {
            statements.append(
                """
                INSERT INTO \(identifier: schema).outbox (slot, id, district_id, attempt, lease_until)
                SELECT t.slot, e.id, e.district_id, 1, clock_timestamp()
                FROM unnest(\(routine.map(\.id.rawValue)), \(routine.map(\.district.rawValue))) AS e (id, district_id)
                CROSS JOIN \(identifier: schema).outbox_turn t
                WHERE NOT EXISTS (SELECT FROM \(identifier: schema).outbox o WHERE o.id = e.id)
                ON CONFLICT DO NOTHING
                """)
        }
        for event in emergencies {
            statements.append(
                """
                INSERT INTO \(identifier: schema).emergency_outbox
                    (id, district_id, type, canary, consumers, body, attempt, lease_until)
                VALUES (\(event.id), \(event.district), \(event.type.rawValue), \(event.canary),
                        \(event.type.emergencyInboxes), \(String(decoding: event.structuredJSON(), as: UTF8.self)), 1,
                        clock_timestamp())
                ON CONFLICT DO NOTHING
                """)
        }
        return try await database.segment(statements).reduce(0) { $0 + $1.affected }
    }

    private func databaseTime() async throws -> Timestamp {
        try await database.query("SELECT clock_timestamp()").first?.decode(0) ?? Timestamp(microseconds: 0)
    }

    private func lease(_ task: String, for duration: Duration) async throws -> Bool {
        let rows = try await database.query(
            """
            INSERT INTO \(identifier: service.schema).task_lease AS l (task, holder, until)
            VALUES (\(task), \(holder), clock_timestamp() + \(duration))
            ON CONFLICT (task) DO UPDATE SET holder = excluded.holder, until = excluded.until
            WHERE l.until < clock_timestamp()
            RETURNING task
            """)
        return !rows.isEmpty
    }

    private func giveBack(_ task: String) async throws {
        _ = try await database.query(
            """
            UPDATE \(identifier: service.schema).task_lease l SET until = statement_timestamp()
            WHERE l.task = \(task) AND l.holder = \(holder)
            """)
    }
}

extension UUID {
    /// At or below every version 7 id made at that time or later.
    static func version7Floor(at time: Timestamp) -> UUID {
        let milliseconds = UInt64(max(0, time.microseconds / 1_000))
        func byte(_ shift: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: milliseconds >> shift) }
        return UUID(
            uuid: (byte(40), byte(32), byte(24), byte(16), byte(8), byte(0), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    }

    /// The next in the order of bytes; the last one is its own.
    var successor: UUID {
        var bytes = withUnsafeBytes(of: uuid) { Array($0) }
        for index in bytes.indices.reversed() {
            bytes[index] &+= 1
            if bytes[index] != 0 { break }
        }
        return bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
    }
}
