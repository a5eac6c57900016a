import Model
import Rules
import ServiceKit

/// Who sends a report, as far as anybody knows.
struct Sender: Sendable {
    var claims: Claims?
    var device: DeviceKey?
    /// The other end of the connection, or what the proxy says of it.
    var address: String
    var traceparent: String

    var isSignedIn: Bool { claims != nil }

    /// For `history.actor`: an account's id, or that nobody signed in.
    var actor: String { claims.map { "account:\($0.sub)" } ?? "anonymous" }

    /// The ways a report of this sender may have come, the usual one first.
    var channels: [ReportChannel] {
        guard let claims else { return [.web, .phone, .drill] }
        var channels: [ReportChannel] = []
        if claims.has(.crew) { channels.append(.crew) }
        if claims.has(.office) { channels.append(.office) }
        if claims.has(.system) { channels += [.system, .sensor] }
        if claims.has(.dispatcher) || claims.has(.manager) || claims.has(.admin) { channels.append(.phone) }
        return channels + [.web, .drill].filter { !channels.contains($0) }
    }
}

extension Sender {
    init(_ context: APIContext) {
        self.init(
            claims: context.claims, device: context.device, address: context.client.text,
            traceparent: context.traceparent)
    }
}
