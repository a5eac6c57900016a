import Rules
import ServiceKit

/// What notification reads besides what all services read.
struct NotificationSettings: Sendable {
    /// 32 bytes.
    let masterKey: [UInt8]
    let terms: EscalationTerms

    init(_ configuration: ServiceConfiguration) throws {
        masterKey = configuration.masterKeyBytes ?? []
        terms = try configuration.read { reader in
            let seconds = reader.integer("SLUICE_ACKNOWLEDGE_SECONDS", default: 300, 5...86_400)
            let atRisk = reader.integer("SLUICE_ACKNOWLEDGE_AT_RISK_SECONDS", default: min(180, seconds), 5...86_400)
            return EscalationTerms(acknowledgeWithin: .seconds(seconds), acknowledgeWithinAtRisk: .seconds(atRisk))
        }
    }
}
