import FoundationEssentials
import Model
import Postgres
import Testing

@testable import Outbox

extension ServerTests {
    /// What is over goes, and to find it costs what there is of it.
    @Suite struct PurgeTests {
        @Test func inboxRowsGoAfterNinetyDaysWhateverTheirKey() async throws {
            try await withCity { city in
                _ = try await city.sql(
                    """
                    INSERT INTO dispatch.inbox (consumer, source, event_id, received_at)
                    SELECT 'old', 'intake', sluice.uuid_v7(t), t
                    FROM (SELECT now() - interval '100 days' + n * interval '1 minute' AS t
                          FROM generate_series(1, 12000) n) old;
                    -- Events of two consumers, also across the end of a look.
                    INSERT INTO dispatch.inbox (consumer, source, event_id, received_at)
                    SELECT 'old too', source, event_id, received_at FROM dispatch.inbox;
                    INSERT INTO dispatch.inbox (consumer, source, event_id, received_at)
                    SELECT 'young', 'intake', sluice.uuid_v7(t), t
                    FROM (SELECT now() - n * interval '1 minute' AS t FROM generate_series(1, 1000) n) young;
                    INSERT INTO dispatch.inbox (consumer, source, event_id)
                    SELECT 'late', 'intake', sluice.uuid_v7(now() - interval '95 days') FROM generate_series(1, 5);
                    -- Keys without a time, as of bodies that nobody can read.
                    INSERT INTO dispatch.inbox (consumer, source, event_id, received_at)
                    SELECT age.consumer, 'unknown', (first || n || '000000-0000-8000-8000-000000000000')::uuid, age.at
                    FROM (VALUES ('old', now() - interval '91 days'), ('young', now())) AS age (consumer, at),
                         unnest(ARRAY ['0', '8', 'f']) first, generate_series(1, 3) n;
                    """)
                let purge = InboxPurge(service: .dispatch, database: await city.client(.dispatch))
                func rows(_ condition: String) async throws -> Int {
                    try await city.count("dispatch.inbox", where: condition)
                }
                try await purge.goOn()
                #expect(try await rows("consumer LIKE 'old%' AND source = 'intake'") == 0)
                try await purge.beginAgain()
                #expect(try await rows("consumer LIKE 'old%'") == 0)
                #expect(try await rows("consumer = 'young' AND source = 'intake'") == 1_000)
                #expect(try await rows("consumer = 'young' AND source = 'unknown'") == 9)
                #expect(try await rows("consumer = 'late'") == 5, "they came a moment ago")

                _ = try await city.sql(
                    "UPDATE dispatch.inbox SET received_at = now() - interval '91 days' WHERE consumer = 'late'")
                try await purge.beginAgain()
                #expect(try await rows("consumer = 'late'") == 0)
                #expect(try await rows("true") == 1_009)
            }
        }

        /// M15: graphile/worker#274, OpenFn/lightning#3564. The purge runs each minute, whatever the inbox holds.
        @Test func thePurgeOfTheInboxReadsOnlyWhatIsOld() async throws {
            try await withCity { city in
                _ = try await city.sql(
                    """
                    INSERT INTO dispatch.inbox (consumer, source, event_id, received_at)
                    SELECT 'dispatch.routine', 'intake', sluice.uuid_v7(t), t
                    FROM (SELECT now() - n * interval '30 seconds' AS t FROM generate_series(1, 200000) n) young
                    UNION ALL
                    SELECT 'dispatch.routine', 'intake', sluice.uuid_v7(t), t
                    FROM (SELECT now() - interval '91 days' - n * interval '1 second' AS t
                          FROM generate_series(1, 100) n) old
                    """)
                let database = await city.client(.dispatch)
                let purge = InboxPurge(service: .dispatch, database: database)
                let zero = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
                for stretch in [InboxPurge.Stretch.past, .beyond] {
                    let cost = try await Self.cost(of: purge.look(at: stretch, from: zero), in: database)
                    #expect(!cost.plan.contains("Seq Scan on inbox"), "\(cost.plan)")
                    #expect(cost.plan.contains("inbox_key"))
                    // A handful for each row that goes. The table has more than two thousand.
                    #expect(cost.blocks < 1_000, "\(cost.plan)")
                }
                #expect(try await city.count("dispatch.inbox") == 200_000)
            }
        }

        /// M14: riverqueue/river#59. The broker is away for hours, so that what was consumed is not confirmed.
        @Test func theSweepReadsNoRowThatItLeaves() async throws {
            try await withCity { city in
                _ = try await city.sql(
                    """
                    INSERT INTO intake.emergency_outbox (id, district_id, type, consumers, body, attempt, consumed_at)
                    SELECT sluice.uuid_v7(now()), '\(City.district)', 'report.received.v1',
                           ARRAY ['dispatch.emergency'], '{}', 1, now()
                    FROM generate_series(1, 100000)
                    """)
                let database = await city.client(.intake)
                let sweep = EmergencySweep(
                    outbox: EmergencyOutbox(service: .intake), database: database, logger: City.logger)
                #expect(sweep.parts.count == 3)
                for (name, statement) in sweep.parts {
                    let cost = try await Self.cost(of: statement, in: database)
                    #expect(!cost.plan.contains("Seq Scan on emergency_outbox"), "\(name): \(cost.plan)")
                    #expect(cost.blocks < 100, "\(name): \(cost.plan)")
                }
                #expect(try await city.count("intake.emergency_outbox") == 100_000)
            }
        }

        @Test func aPartOfTheSweepThatFailsKeepsNoneOfTheOthers() async throws {
            try await withCity { city in
                _ = try await city.sql(
                    """
                    REVOKE SELECT ON dispatch.api_inbox FROM sluice_service;
                    INSERT INTO intake.emergency_outbox
                        (id, district_id, type, canary, consumers, body, attempt, created_at, confirmed_at, consumed_at)
                    SELECT sluice.uuid_v7(now()), '\(City.district)', 'report.received.v1', canary,
                           ARRAY ['dispatch.emergency'], '{}', 1, now() - interval '1 minute', now(), consumed
                    FROM (VALUES (true, NULL::timestamptz), (false, now()), (false, NULL)) AS x (canary, consumed)
                    """)
                await city.group.start(
                    EmergencySweep(
                        outbox: EmergencyOutbox(service: .intake), database: await city.client(.intake),
                        logger: City.logger))
                try await eventually("the canary's row and the one that is done are gone") {
                    try await city.count("intake.emergency_outbox") == 1
                }
                _ = try await city.sql("GRANT SELECT ON dispatch.api_inbox TO sluice_service")
                #expect(
                    try await city.count("intake.emergency_outbox", where: "NOT canary AND consumed_at IS NULL") == 1)
            }
        }

        /// The second way puts its try on record; meanwhile another instance, which knows of no record, does the
        /// broker's copy.
        @Test func theRecordOfATryIsForgottenWhenItsEventIsDone() async throws {
            try await withCity { city in
                let database = await city.client(.dispatch)
                let inbox = Inbox(service: .dispatch, consumer: "dispatch.emergency", version: "test")
                let (done, open) = (City.report(.emergency), City.report(.emergency))
                _ = try await LaneAttempts(inbox: inbox, database: database).begin([done.inboxKey, open.inboxKey])
                let performer = Performer(
                    inbox: inbox, messaging: Messaging(service: .dispatch, sources: City.sources), database: database)
                let copy = Message(body: done.structuredJSON(), path: .broker, source: nil, id: nil, type: nil)
                let performed = try await performer.perform(
                    Deciding(schema: "dispatch"), [copy], approach: Approach(waits: true, eventLocks: .wait))
                #expect(performed.new.count == 1)
                #expect(try await city.count("dispatch.lane_attempt") == 2)

                _ = await Station(city, .dispatch)
                try await eventually("one is forgotten") { try await city.count("dispatch.lane_attempt") == 1 }
                #expect(try await city.count("dispatch.lane_attempt", where: "event_id = '\(open.id)'") == 1)
            }
        }

        private static func cost(
            of sql: SQL, in database: PostgresClient
        ) async throws -> (blocks: Int, plan: String) {
            let lines = try await database.segment([
                RoutineOutbox.pinnedPlans, "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) " + sql,
            ])[1].column(String.self).prefix(while: { !$0.hasPrefix("Planning:") })
            // A part that changes rows counts for itself, every other node for those below it.
            var most = 0
            for line in lines where line.contains("Buffers: shared") {
                let blocks = line.split(separator: " ").compactMap { word -> Int? in
                    guard word.hasPrefix("hit=") || word.hasPrefix("read=") else { return nil }
                    return Int(word.drop { $0 != "=" }.dropFirst())
                }
                most = max(most, blocks.reduce(0, +))
            }
            return (most, lines.joined(separator: "\n"))
        }
    }
}
