import Foundation
import Model
import NIOPosix
import Postgres
import Testing

@testable import Outbox

extension ServerTests {
    /// The tables themselves: what statements cost, and how they are kept small.
    @Suite struct TableTests {
        static let pending = 1_000_000

        /// M15: bensheldon/good_job#720, graphile/worker#274, OpenFn/lightning#3564.
        @Test func aClaimCostsTheSameWithAMillionRowsAndWithNone() async throws {
            try await withCity { city in
                let outbox = RoutineOutbox(service: .intake)
                let zero = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
                let claim = outbox.claimUnsent(limit: 100, after: zero, lease: UUID(), for: .seconds(60))
                let again = outbox.claimExpired(limit: 100, lease: UUID(), for: .seconds(60))
                let database = await city.client(.intake)
                // Statistics of an empty table, and a generic plan made then.
                _ = try await city.sql("ANALYZE intake.outbox; ANALYZE intake.history")
                for _ in 0..<8 { _ = try await database.segment([RoutineOutbox.pinnedPlans, claim]) }
                let empty = try await cost(of: claim, in: database)

                _ = try await city.sql(
                    """
                    INSERT INTO intake.outbox (slot, id, district_id)
                    SELECT n % 3, sluice.uuid_v7_floor(now() + n * interval '1 millisecond'),
                           ('01900000-0000-7000-8000-0000000000' || lpad(to_hex(n % 12), 2, '0'))::uuid
                    FROM generate_series(1, \(Self.pending)) n;
                    -- The rows of the head: refused for good, each with its own pause.
                    UPDATE intake.outbox SET attempt = 9, refused = 9, lease_until = now() + interval '1 hour'
                    WHERE id < sluice.uuid_v7_floor(now() + interval '5 seconds');
                    INSERT INTO intake.history (id, aggregate, aggregate_id, version, type, district_id, lane, actor,
                                                occurred_at, body)
                    SELECT id, 'report', id, 1, 'report.received.v1', district_id, 'r', 'test', now(), '{}'
                    FROM intake.outbox WHERE id < sluice.uuid_v7_floor(now() + interval '20 seconds');
                    """)
                for _ in 0..<8 {
                    #expect(try await database.segment([RoutineOutbox.pinnedPlans, claim])[1].count >= 90)
                }
                let full = try await cost(of: claim, in: database)
                #expect(!full.plan.contains("Seq Scan on outbox"), "\(full.plan)")
                #expect(!full.plan.contains("Seq Scan on history"))
                #expect(!full.plan.contains("Sort Key: o.id"))
                // Each row is found, leased and read: some 60 pages; and a handful for each district and slot.
                #expect(full.blocks < empty.blocks + 10_000, "\(empty.blocks) empty, \(full.blocks) full")
                let expired = try await cost(of: again, in: database)
                #expect(!expired.plan.contains("Seq Scan on outbox"))
                #expect(expired.blocks < 10_000)

                // The generic plan of the same statement, too.
                let generic = try await city.sql(
                    """
                    SET ROLE sluice_intake_bg;
                    SET plan_cache_mode = force_generic_plan;
                    \(RoutineOutbox.pinnedPlans.text.replacing("true)", with: "false)"));
                    PREPARE claim AS \(claim.text);
                    EXPLAIN EXECUTE claim (100, '\(zero)', 100, '\(zero)', '60 seconds');
                    """)
                #expect(generic.contains("outbox_unsent") || generic.contains("district_id_id_idx"))
                #expect(!generic.contains("Seq Scan on outbox"), "\(generic)")
            }
        }

        /// M14: riverqueue/river#59, NikolayS/PgQue#80. A snapshot keeps dead rows; the slots' turn gets rid of them.
        @Test func aLongSnapshotDoesNotMakeClaimsDear() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake, starts: false)
                let outbox = RoutineOutbox(service: .intake)
                let reader = await city.client(.intake, reactor: 1, idles: true)
                let zero = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
                try await reader.transaction(isolation: .repeatableReadOnly) { transaction in
                    _ = try await transaction.query("SELECT count(*) FROM dispatch.api_inbox")
                    for round in 0..<24 {
                        try await intake.announce((0..<500).map { _ in City.report() })
                        let lease = UUID()
                        let rows = try await intake.database.segment([
                            RoutineOutbox.pinnedPlans,
                            outbox.claimUnsent(limit: 500, after: zero, lease: lease, for: .seconds(60)),
                        ])[1]
                        #expect(rows.count == 500)
                        let ids = try rows.map { try $0.decode("id", as: UUID.self) }
                        _ = try await intake.database.query(outbox.confirmed(ids, lease: lease))
                        if round % 3 == 2 {
                            _ = try await city.sql("UPDATE intake.outbox_turn SET since = now() - interval '2 minutes'")
                            _ = try await intake.database.query("SELECT intake.rotate_outbox()")
                            _ = try await intake.database.query("SELECT intake.rotate_outbox()")
                        }
                    }
                    let used = try await city.sql(
                        """
                        SELECT count(*) FROM generate_series(0, 7) s
                        WHERE pg_relation_size(('intake.outbox_' || s)::regclass) > 0
                        """)
                    // 24 rounds went through eight turns; all but the last one or two are empty files again.
                    #expect(Int(used) ?? 8 <= 2)
                }
            }
        }

        @Test func rowsOfEverySlotAreSentAndEmptiedSlotsAreTruncated() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake, starts: false)
                for slot in 0..<8 {
                    _ = try await city.sql("UPDATE intake.outbox_turn SET slot = \(slot)")
                    try await intake.announce((0..<20).map { _ in City.report() })
                }
                let queue = await Listener(city, "dispatch.routine")
                for service in intake.services.services { await city.group.start(service) }
                try await eventually("all are delivered") { queue.ids.count == 160 }
                try await eventually("the slots are empty files again") {
                    try await city.sql(
                        """
                        SELECT count(*) FROM generate_series(0, 6) s
                        WHERE pg_relation_size(('intake.outbox_' || s)::regclass) > 0
                        """) == "0"
                }
            }
        }

        @Test func aRowThatIsStillBeingInsertedKeepsItsSlot() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake, starts: false)
                let writer = await city.client(.intake, idles: true)
                let event = City.report()
                try await writer.transaction { transaction in
                    try await transaction.send(intake.messaging.announce([Announcement(event: event, actor: "test")]))
                    _ = try await city.sql("UPDATE intake.outbox_turn SET slot = 5")
                    for _ in 0..<3 { _ = try await intake.database.query("SELECT intake.rotate_outbox()") }
                    _ = try await transaction.commit()
                }
                #expect(try await city.count("intake.outbox", where: "slot = 0") == 1)
            }
        }

        @Test func anHTTPRoleAnnouncesInItsDistrictsOnly() async throws {
            try await withCity { city in
                let http = await city.client(.intake, role: "http")
                let messaging = Messaging(service: .intake, sources: City.sources)
                for lane in Lane.allCases {
                    let statements = messaging.announce([Announcement(event: City.report(lane), actor: "test")])
                    await #expect(throws: PostgresError.self) {
                        try await http.segment(statements, scope: .districts([UUID()]))
                    }
                    _ = try await http.segment(statements, scope: .districts([City.district.rawValue]))
                }
                #expect(try await city.count("intake.history") == 2)
                let hidden = try await http.query(
                    "SELECT count(*) FROM intake.api_history", scope: .districts([UUID()]))
                #expect(try hidden[0].decode(0, as: Int.self) == 0)
            }
        }

        private func cost(of sql: SQL, in database: PostgresClient) async throws -> (blocks: Int, plan: String) {
            let lines = try await database.segment([
                RoutineOutbox.pinnedPlans, "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) " + sql,
            ])[1].column(String.self)
            let plan = lines.joined(separator: "\n")
            // The first such line is the whole statement's.
            let buffers = lines.first { $0.contains("Buffers: shared") } ?? ""
            let blocks = buffers.split(separator: " ").compactMap { word -> Int? in
                guard word.hasPrefix("hit=") || word.hasPrefix("read=") else { return nil }
                return Int(word.drop { $0 != "=" }.dropFirst())
            }
            return (blocks.reduce(0, +), plan)
        }
    }

    @Suite struct HealingTests {
        @Test func anEmptiedBrokerHeals() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                // The queues exist, and somebody throws away what is in them.
                let thief = await Listener(city, "dispatch.routine")
                let other = await Listener(city, "dispatch.emergency")
                let events = (0..<40).map { _ in City.report() } + (0..<5).map { _ in City.report(.emergency) }
                try await intake.announce(events)
                try await eventually("all are lost") { thief.ids.count == 40 && other.ids.count == 5 }
                try await eventually("the outbox is empty") { try await city.count("intake.outbox") == 0 }
                // The broker lost the emergencies as well, and their rows (an operator's mistake).
                _ = try await city.sql("DELETE FROM intake.emergency_outbox")

                let now = City.sources.now()
                let span = now - .seconds(3_600)..<now + .seconds(60)
                let healer = Healer(service: .intake, database: intake.database)
                let found = try await healer.reconcile(span, announcing: false)
                #expect(found.examined == 45)
                #expect(Set(found.missing) == Set(events.map(\.id)))
                #expect(found.balances)
                try await thief.stop()
                try await other.stop()
                for lane in Lane.allCases { await city.consume(lane, Deciding(schema: "dispatch")) }
                let healed = try await healer.reconcile(span, announcing: true)
                #expect(healed.announcedAgain == 45)
                try await eventually("all have arrived") { try await city.count("dispatch.effect") == 45 }
                try await eventually("nothing is missing") {
                    let report = try await healer.reconcile(span, announcing: false)
                    return report.missing.isEmpty && report.arrived == 45 && report.balances
                }
            }
        }

        @Test func whatIsParkedOrDeadIsNotAnnouncedAgain() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                let handler = Deciding(
                    schema: "dispatch",
                    fails: { event in
                        if event.district == City.district { throw Poison("never") }
                        throw StageFailure("for a long time")
                    })
                await city.consume(.routine, handler)
                try await intake.announce([City.report(), City.report(district: District.ID(UUID()))])
                try await eventually("one is dead, one is parked") {
                    let dead = try await city.count("dispatch.dead_letter")
                    return try await city.count("dispatch.retry") == 1 && dead == 1
                }
                let now = City.sources.now()
                let report = try await Healer(service: .intake, database: intake.database)
                    .reconcile(now - .seconds(600)..<now + .seconds(60), announcing: true)
                #expect(report.arrived + report.inOutbox == 2)
                #expect(report.announcedAgain == 0)
            }
        }
    }
}
