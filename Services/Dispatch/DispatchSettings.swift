import ServiceKit

/// Settings of dispatch's own, with what they are when nobody sets them.
struct DispatchSettings: Sendable {
    /// How long an order may stay unanswered before it goes to another crew.
    var patience = ReleaseLoop.Patience(emergency: .seconds(60), routine: .seconds(1_800))
    /// Cases that one round of routine claims takes.
    var routineClaims = 200
    /// How often the queue is looked at though nobody called.
    var claimInterval = Duration.milliseconds(250)
    /// Milliseconds of the lane's own time.
    var pressure = LaneSignalWriter.Bounds(calm: 25, bound: 100)
    /// How long an emergency may wait for a crew before somebody is called.
    var waitingAlarm = Duration.seconds(120)
    /// Minutes east of UTC that cameras without a zone are taken to show.
    var cameraZoneMinutes = 480

    init() {}

    /// Throws `ConfigurationErrors` that name each setting at fault.
    init(_ configuration: ServiceConfiguration) throws {
        let defaults = DispatchSettings()
        self = try configuration.read { reader in
            var settings = defaults
            let seconds = defaults.patience
            settings.patience.emergency = .seconds(
                reader.integer(
                    "SLUICE_DISPATCH_SILENCE_SECONDS", default: Int(seconds.emergency.components.seconds), 1...86_400))
            settings.patience.routine = .seconds(
                reader.integer(
                    "SLUICE_DISPATCH_ROUTINE_SILENCE_SECONDS",
                    default: Int(seconds.routine.components.seconds), 1...604_800))
            settings.routineClaims = reader.integer(
                "SLUICE_DISPATCH_CLAIM_BATCH", default: defaults.routineClaims, 1...500)
            settings.pressure.calm = Double(
                reader.integer("SLUICE_DISPATCH_LANE_CALM_MS", default: Int(defaults.pressure.calm), 1...10_000))
            settings.pressure.bound = Double(
                reader.integer("SLUICE_DISPATCH_LANE_BOUND_MS", default: Int(defaults.pressure.bound), 2...60_000))
            settings.waitingAlarm = .seconds(
                reader.integer(
                    "SLUICE_DISPATCH_WAITING_ALARM_SECONDS",
                    default: Int(defaults.waitingAlarm.components.seconds), 1...86_400))
            settings.cameraZoneMinutes = reader.integer(
                "SLUICE_CAMERA_ZONE_MINUTES", default: defaults.cameraZoneMinutes, -720...840)
            return settings
        }
    }
}
