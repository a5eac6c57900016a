import Logging
import Metrics
import Model
import Postgres
import ServiceLifecycle
import Synchronization

/// Says once a second how many emergencies wait, and calls when one has waited for a crew for too long. That is no
/// pressure on the lane, which can do nothing about it: people can. Once a wait, by one instance of several; who takes
/// over from another calls again.
final class WaitingAlarm: Service {
    /// Calls of one look; the next look has the rest.
    private static let calls = 50

    private let database: PostgresClient
    private let instance: String
    private let patience: Duration
    private let interval: Duration
    private let logger: Logger
    /// Cases whose present wait has been told.
    private let told = Mutex<Set<Case.ID>>([])

    init(database: PostgresClient, instance: String, patience: Duration, interval: Duration, logger: Logger) {
        self.database = database
        self.instance = instance
        self.patience = patience
        self.interval = interval
        self.logger = logger
    }

    func run() async throws {
        await repeatUntilShutdown(every: interval) {
            do {
                for gauge in try await self.look().gauges {
                    Gauge(label: gauge.label, dimensions: [("for", gauge.what)]).record(gauge.value)
                }
            } catch {
                self.logger.warning("waiting emergencies cannot be looked for", metadata: ["error": "\(error)"])
            }
        }
    }

    /// One look, and the calls that it asks for.
    @discardableResult
    func look() async throws -> EmergenciesWaiting {
        let known = told.withLock { $0.sorted() }
        let rows = try await database.segment([
            WaitingStore.byIndex, WaitingStore.look, WaitingStore.isFirst(instance),
            WaitingStore.still(patience, of: known),
            WaitingStore.long(patience, besides: known, limit: Self.calls),
        ])
        if try rows[2][0].decode("is_first", as: Bool.self) {
            var waiting = Set(try rows[3].column(Case.ID.self))
            for row in rows[4] { waiting.insert(try call(row)) }
            let now = waiting
            told.withLock { $0 = now }
        } else {
            told.withLock { $0 = [] }
        }
        return try EmergenciesWaiting(rows[1][0])
    }

    private func call(_ row: Row) throws -> Case.ID {
        let caseID: Case.ID = try row.decode("case_id")
        let district: District.ID = try row.decode("district_id")
        let severity: Int = try row.decode("severity")
        let waited: Double = try row.decode("waited")
        logger.error(
            "an emergency waits for a crew",
            metadata: [
                "case": "\(caseID)", "district": "\(district)", "severity": "\(severity)",
                "waited_seconds": "\(Int(waited))",
            ])
        return caseID
    }
}

/// How many emergencies nobody is on the way to, and for how long the oldest of them has waited.
struct EmergenciesWaiting: Sendable, Hashable {
    struct Queue: Sendable, Hashable {
        var count: Int
        /// Seconds; 0 if there is none.
        var oldest: Double
    }

    /// For a free crew.
    var forCrew: Queue
    /// For a dispatcher or a second device, or for the time to pass.
    var forVerification: Queue

    init(_ row: Row) throws {
        forCrew = Queue(
            count: try row.decode("for_crew"), oldest: max(0, try row.decode("oldest_for_crew", as: Double.self)))
        forVerification = Queue(
            count: try row.decode("for_verification"),
            oldest: max(0, try row.decode("oldest_for_verification", as: Double.self)))
    }

    struct Reading: Sendable, Hashable {
        var label: String
        /// For what they wait.
        var what: String
        var value: Double
    }

    /// As the metrics show it. Where nobody waits it says 0, and not nothing.
    var gauges: [Reading] {
        [
            Reading(label: "sluice_emergencies_waiting", what: "crew", value: Double(forCrew.count)),
            Reading(label: "sluice_emergencies_waiting", what: "verification", value: Double(forVerification.count)),
            Reading(label: "sluice_emergencies_waiting_oldest_seconds", what: "crew", value: forCrew.oldest),
            Reading(
                label: "sluice_emergencies_waiting_oldest_seconds", what: "verification",
                value: forVerification.oldest),
        ]
    }
}
