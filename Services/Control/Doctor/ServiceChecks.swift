internal import AsyncHTTPClient
internal import FoundationEssentials
internal import Model
internal import NIOCore
internal import NIOHTTP1

/// The five services and the way to them.
struct ServiceChecks: CheckGroup {
    let settings: ControlSettings

    /// Port above the base, by CONTRACTS.md §1.
    private static let ports: [(ServiceName, Int)] = [
        (.intake, 10), (.dispatch, 20), (.gisSync, 30), (.scoring, 40), (.notification, 50),
    ]

    func run() async -> [CheckFinding] {
        var findings: [CheckFinding] = []
        let base = (try? settings.portBase()) ?? 21_000
        for (service, offset) in Self.ports { findings.append(await ready(service, port: base + offset + 100)) }
        findings.append(await front())
        return findings
    }

    private func ready(_ service: ServiceName, port: Int) async -> CheckFinding {
        let check = "services.\(service.rawValue)"
        let address = "127.0.0.1:\(port)"
        let log = "deploy/stack/services status; its log says more"
        do {
            let request = HTTPClientRequest(url: "http://\(address)/health/ready")
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(5))
            guard response.status.code == 200 else {
                let body = String(buffer: try await response.body.collect(upTo: 1 << 16))
                return .bad(check, "not ready: \(body.prefix(300))", mend: log)
            }
            return .good(check, "ready at \(address)")
        } catch {
            return .bad(check, "nothing answers at \(address)", mend: "deploy/stack/services start; \(log)")
        }
    }

    private func front() async -> CheckFinding {
        let check = "services.front"
        let url: String
        do {
            url = try settings.publicURL()
        } catch {
            return .bad(check, "\(error)", mend: "correct SLUICE_PUBLIC_URL")
        }
        do {
            let request = HTTPClientRequest(url: url + "/v1/categories")
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(5))
            guard response.status.code == 200 else {
                return .bad(
                    check, "\(url) answers \(response.status.code)",
                    mend: "deploy/stack/nginx status; is dispatch ready?")
            }
            return .good(check, "\(url) leads to the services")
        } catch {
            return .bad(
                check, "nothing answers at \(url)",
                mend: "deploy/stack/nginx start; does SLUICE_PUBLIC_URL name it?")
        }
    }
}
