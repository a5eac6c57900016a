import AsyncHTTPClient
import FoundationEssentials
import Model
import NIOCore
import NIOHTTP1
import NIOPosix

/// Sends messages by Standard Webhooks. Any 2xx is success.
struct Webhook: Sendable {
    let eventLoops: any EventLoopGroup
    let addresses: OutgoingAddresses
    /// From the look-up of the name to the head of the answer.
    var timeout: Duration = .seconds(10)
    /// For what follows the head, which is of no interest.
    var patience: Duration = .seconds(1)

    func send(_ message: Message, to url: String, secrets: [String], now: Timestamp) async -> SendOutcome {
        let id = Identifier<Message>(message.id).description
        let seconds = now.microseconds / 1_000_000
        guard let target = WebhookTarget(url) else {
            return .refused(detail: "the address is no http or https URL", retryAfter: nil, isFinal: true)
        }
        guard
            let signature = WebhookSignature.header(secrets: secrets, id: id, timestamp: seconds, body: message.payload)
        else { return .refused(detail: "the secret is not whsec_ and base64", retryAfter: nil, isFinal: true) }

        // The name is resolved here, checked, and pinned: what is connected to is what was checked.
        let address: String
        let end = ContinuousClock.now + timeout
        switch await addresses.resolve(target.host, port: target.port, within: timeout) {
        case .allowed(let found): address = found
        case .forbidden: return .refused(detail: "the address is private or local", retryAfter: nil, isFinal: true)
        case .unknown: return .notSent(detail: "the name does not resolve")
        case .late: return .notSent(detail: "the name was not looked up in time")
        }
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.dnsOverride = [target.host: address]
        configuration.timeout = .init(connect: .seconds(5), read: .seconds(8))
        configuration.decompression = .disabled
        configuration.connectionPool = .init(idleTimeout: .seconds(1))
        let client = HTTPClient(eventLoopGroupProvider: .shared(eventLoops), configuration: configuration)
        let time = end - ContinuousClock.now
        let outcome = await request(
            message, url, id: id, seconds: seconds, signature: signature, within: time, client: client)
        try? await client.shutdown()
        return outcome
    }

    private func request(
        _ message: Message, _ url: String, id: String, seconds: Int64, signature: String, within time: Duration,
        client: HTTPClient
    ) async -> SendOutcome {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers = [
            "content-type": "application/json", "user-agent": "Sluice", "webhook-id": id,
            "webhook-timestamp": String(seconds), "webhook-signature": signature,
        ]
        request.body = .bytes(ByteBuffer(bytes: message.payload))
        do {
            let response = try await client.execute(request, timeout: TimeAmount(time))
            await skim(response.body)
            let code = Int(response.status.code)
            let retryAfter = response.headers.first(name: "retry-after").flatMap { Int($0) }.map {
                Duration.seconds($0)
            }
            switch code {
            case 200..<300: return .delivered(detail: "HTTP \(code)")
            case 300..<400:
                return .refused(detail: "HTTP \(code): redirects are not followed", retryAfter: nil, isFinal: true)
            case 410: return .refused(detail: "HTTP 410: gone", retryAfter: nil, isFinal: true)
            default: return .refused(detail: "HTTP \(code)", retryAfter: retryAfter, isFinal: false)
            }
        } catch let error as HTTPClientError where error == .connectTimeout || error == .deadlineExceeded {
            return error == .connectTimeout
                ? .notSent(detail: "no connection in time") : .unknown(detail: "no answer in time")
        } catch let error as HTTPClientError where error == .readTimeout || error == .remoteConnectionClosed {
            return .unknown(detail: "the connection ended before an answer")
        } catch is NIOConnectionError {
            return .notSent(detail: "connection refused")
        } catch {
            return .unknown(detail: "\(type(of: error))")
        }
    }
}

extension Webhook {
    /// The body is of no interest; a little is read so that the connection ends in order, and no longer than our patience
    /// lasts: the client's own time ends with the head, and a body can come byte by byte for ever.
    private func skim(_ body: HTTPClientResponse.Body) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await body.collect(upTo: 4_096) }
            group.addTask { _ = try? await Task.sleep(for: patience) }
            _ = await group.next()
            group.cancelAll()
        }
    }
}

/// Where a webhook goes, as far as it must be known before it is sent.
struct WebhookTarget: Sendable, Hashable {
    var host: String
    var port: Int

    /// Nil for anything but http and https with a host and no user information.
    init?(_ url: String) {
        guard url.utf8.count <= 2_000, let parsed = URL(string: url), let scheme = parsed.scheme?.lowercased(),
            scheme == "https" || scheme == "http", let host = parsed.host(), !host.isEmpty, parsed.user() == nil
        else { return nil }
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.port = parsed.port ?? (scheme == "https" ? 443 : 80)
    }
}
