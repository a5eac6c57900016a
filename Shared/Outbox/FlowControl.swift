public import Logging
internal import Metrics
public import Postgres
public import ServiceLifecycle

/// The part of its maximum that routine work may use just now. Pure: readings come in, the share goes out.
public struct FlowShare: Sendable, Hashable {
    /// 0 (only the floor) to 1.
    public private(set) var share: Double

    public init(share: Double = 1) {
        self.share = min(max(share, 0), 1)
    }

    /// Moves towards 1 − pressure: up by 0.05 on a good reading, halved on a bad one, never past it.
    ///
    /// - Parameter pressure: 0 to 1, the worst of the lane's fresh readings; nil if nobody has measured lately.
    public mutating func observe(pressure: Double?) {
        let reading = pressure.flatMap { $0.isFinite ? $0 : nil } ?? Self.pressureWhenUnknown
        let wanted = 1 - min(max(reading, 0), 1)
        share = wanted >= share ? min(wanted, share + 0.05) : max(wanted, share / 2)
    }

    /// limit = floor + share × (maximum − floor)
    public func limit(floor: Int, maximum: Int) -> Int {
        floor + Int((share * Double(max(0, maximum - floor))).rounded(.down))
    }

    /// The rest after routine work that took so long: it is under way for this share of the time, and for a tenth of it
    /// at least. Whole batches with rests between them cost the lane, and everybody, less than as much work in crumbs.
    public func rest(after busy: Duration) -> Duration {
        min(.seconds(1), busy * (1 / max(share, Self.least) - 1))
    }

    static let pressureWhenUnknown = 0.5
    static let least = 0.1
}

/// Follows the emergency lane's pressure (`dispatch.api_lane_signal`, polled each 250 ms) and says how much of their
/// maximum the process's relay, consumers, claims, admission and imports may use.
public final class FlowControl: Service, Sendable {
    private let database: PostgresClient
    private let interval: Duration
    private let logger: Logger
    private let state = Mutexed(FlowShare())

    public init(database: PostgresClient, interval: Duration = .milliseconds(250), logger: Logger) {
        self.database = database
        self.interval = interval
        self.logger = logger
    }

    public var share: Double { state.withLock { $0.share } }

    public func limit(floor: Int, maximum: Int) -> Int {
        state.withLock { $0.limit(floor: floor, maximum: maximum) }
    }

    /// The rest after routine work that took so long.
    public func rest(after busy: Duration) -> Duration { state.withLock { $0.rest(after: busy) } }

    /// Takes a reading from elsewhere; `run` does it by itself.
    public func observe(pressure: Double?) {
        let share = state.withLock { state in
            state.observe(pressure: pressure)
            return state.share
        }
        Gauge(label: "sluice_flow_share").record(share)
    }

    public func run() async throws {
        var wasReadable = true
        while !Task.isShuttingDownGracefully && !Task.isCancelled {
            do {
                observe(pressure: try await worstPressure())
                wasReadable = true
            } catch {
                // No reading counts as the middle: routine work slows down, and does not stop.
                observe(pressure: nil)
                if wasReadable { logger.warning("the lane's pressure cannot be read", metadata: ["error": "\(error)"]) }
                wasReadable = false
            }
            await Pause.sleep(interval)
        }
    }

    private func worstPressure() async throws -> Double? {
        try await database.query(
            """
            SELECT max(pressure)::float8
            FROM dispatch.api_lane_signal
            WHERE measured_at > clock_timestamp() - interval '2 seconds'
            """
        ).first?.decode(0)
    }
}
