import FoundationEssentials
import Logging
import Metrics
import Model
import Postgres
import Rules
import ServiceLifecycle

/// Says every 250 ms how hard the emergency lane is pressed, as this instance sees it. Everybody's share of routine
/// work follows from it.
struct LaneSignalWriter: Service {
    struct Bounds: Sendable {
        /// Milliseconds up to which the lane is calm, and from which on it is at its bound.
        var calm: Double
        var bound: Double
    }

    let database: PostgresClient
    let meter: LaneMeter
    let instance: String
    let bounds: Bounds
    let interval: Duration
    let logger: Logger

    func run() async throws {
        await repeatUntilShutdown(every: interval) {
            do {
                try await write()
            } catch {
                logger.debug("the lane's signal could not be written", metadata: ["error": "\(error)"])
            }
        }
    }

    func write() async throws {
        let oldest = try await database.query(SignalStore.oldestWaiting).first?.decode(0, as: Double?.self) ?? 0
        let reading = LanePressure.Reading(worst: meter.worst, oldestWaiting: oldest, canary: meter.canary)
        let pressure = LanePressure.pressure(reading, calm: bounds.calm, bound: bounds.bound)
        try await database.query(
            SignalStore.save(instance: instance, pressure: pressure, reading: reading))
        Gauge(label: "sluice_lane_pressure").record(pressure)
        Gauge(label: "sluice_lane_worst_milliseconds").record(reading.worst)
        Gauge(label: "sluice_lane_oldest_milliseconds").record(oldest)
        if let canary = reading.canary { Gauge(label: "sluice_lane_canary_milliseconds").record(canary) }
    }
}
