import Rules
import ServiceKit

/// Intake's own settings; the table is in deploy/docs/intake.md.
struct IntakeSettings: Sendable {
    var budget: SenderBudget
    /// Routine reports a second that an instance takes at most, and at least.
    var routineMaximum: Double
    var routineFloor: Double
    /// Minutes east of UTC that cameras without a zone are taken to show.
    var cameraZoneMinutes: Int
    /// Rounds a second of the canary through the emergency lane; 0 for none.
    var canaryRate: Double
    var external: ExternalIssuer?

    init(_ configuration: ServiceConfiguration) throws(ConfigurationErrors) {
        self = try configuration.read { reader in
            IntakeSettings(reader: &reader)
        }
    }

    private init(reader: inout ConfigurationReader) {
        let device = reader.number("SLUICE_BUDGET_DEVICE", default: 3, 1...1_000)
        let prefix = reader.number("SLUICE_BUDGET_PREFIX", default: 60, 1...100_000)
        let minutes = reader.number("SLUICE_BUDGET_MINUTES", default: 10, 1...1_440)
        self.budget = SenderBudget(
            // A device earns one report back in that time; an address range all of them.
            device: .init(burst: device, drainPerSecond: 1 / (minutes * 60)),
            prefix: .init(burst: prefix, drainPerSecond: prefix / (minutes * 60)))
        self.routineMaximum = reader.number("SLUICE_ROUTINE_MAXIMUM", default: 5_000, 1...1_000_000)
        self.routineFloor = reader.number("SLUICE_ROUTINE_FLOOR", default: 50, 1...1_000_000)
        self.cameraZoneMinutes = reader.integer("SLUICE_CAMERA_ZONE_MINUTES", default: 480, -720...840)
        self.canaryRate = reader.number("SLUICE_CANARY_RATE", default: 2, 0...50)
        if let issuer = reader.optional("SLUICE_OIDC_ISSUER") {
            self.external = ExternalIssuer(
                issuer: issuer, audience: reader.required("SLUICE_OIDC_AUDIENCE", "this service's client id"),
                algorithm: reader.word("SLUICE_OIDC_ALGORITHM", default: .rs256),
                keysFile: reader.readableFile("SLUICE_OIDC_KEYS_FILE") ?? "")
            if external?.keysFile.isEmpty == true {
                reader.fail("SLUICE_OIDC_KEYS_FILE", "is required by SLUICE_OIDC_ISSUER: the issuer's JWKS")
            }
        }
    }
}
