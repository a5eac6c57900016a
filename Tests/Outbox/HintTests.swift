import Foundation
import Model
import NIOPosix
import Postgres
import Testing

@testable import Outbox

extension ServerTests {
    /// NOTIFY takes a lock of the whole server and may fail, so it is a hint and nothing hangs on it.
    /// M13: recall.ai's report, agent-substrate/substrate#920, graphprotocol/graph-node#1266.
    @Suite struct HintTests {
        @Test func noBusinessTransactionCarriesAHint() {
            let messaging = Messaging(service: .intake, sources: City.sources)
            for lane in Lane.allCases {
                let statements = messaging.announce([Announcement(event: City.report(lane), actor: "test")])
                #expect(statements.allSatisfy { !$0.text.lowercased().contains("notify") })
            }
        }

        @Test func twoHundredWritersAreNotHeldUpByAListenerThatNeverReads() async throws {
            try await withCity { city in
                let intake = await Station(city, .intake)
                for _ in 0..<2 { await city.consume(.emergency, Deciding(schema: "dispatch")) }
                // It listens and then stays in a transaction, as a forgotten session would: the server keeps every hint
                // for it.
                async let idler = city.sql(
                    """
                    LISTEN intake_emergency;
                    BEGIN;
                    SELECT pg_sleep(3600);
                    """)
                let isIdling = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                try await eventually("the idler listens") { try await city.sql(isIdling) == "1" }
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<200 {
                        group.addTask {
                            for _ in 0..<2 {
                                await #expect(throws: Never.self) {
                                    try await intake.announce([City.report(.emergency)])
                                }
                            }
                        }
                    }
                }
                try await eventually("each emergency has its effect") {
                    try await city.count("dispatch.effect") == 400
                }
                #expect(try await city.sql(isIdling) == "1", "the idler was there all the time")
                _ = try await city.sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
                _ = try? await idler
                #expect(try await city.count("dispatch.inbox") == 400)
            }
        }

        @Test func aHintThatFailsFailsNoWriteAndDelaysNothingBeyondThePoll() async throws {
            try await withCity { city in
                // As with a full queue: whoever notifies gets an error.
                _ = try await city.sql("REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC")
                let line = try await Line.open(to: city.servers.brokerPort)
                defer { line.close() }
                line.set(.cut)
                let intake = await Station(city, .intake, brokerPort: line.port)
                await city.consume(.emergency, Deciding(schema: "dispatch"), brokerPort: line.port)
                for _ in 0..<20 { try await intake.announce([City.report(.emergency)]) }
                try await eventually("all are done") { try await city.count("dispatch.effect") == 20 }
                await #expect(throws: PostgresError.self, "so the hints did fail") {
                    try await intake.database.query("SELECT pg_notify('intake_emergency', '')")
                }
            }
        }

        @Test func howFullTheServersQueueOfHintsIsCanBeSeen() async throws {
            try await withCity { city in
                let database = await city.client(.intake)
                let state = try await OutboxState.look(at: .intake, in: database)
                #expect((0..<0.5).contains(state.hintQueue))
            }
        }
    }
}
