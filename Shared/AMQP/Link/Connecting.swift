import NIOCore
import NIOPosix
import NIOSSL

extension AMQPConnection {
    /// Connects, shakes hands and opens the virtual host, all within the configuration's bound.
    func open(_ host: AMQPConfiguration.Host, _ completion: @escaping Completion<Void>) {
        opening = completion
        let loop = eventLoop.assumeIsolated()
        let timeout = TimeAmount(configuration.connectTimeout)
        let overdue = loop.scheduleTask(in: timeout) {
            guard self.opening != nil else { return }
            self.fail(AMQPError(.cannotConnect, "no connection to \(host) within \(self.configuration.connectTimeout)"))
        }
        let opened = opening
        opening = { result in
            overdue.cancel()
            opened?(result)
        }
        let tls: (context: NIOSSLContext, serverName: String?)?
        do {
            tls = try Self.tls(configuration.tls, host: host.name)
        } catch {
            return fail(AMQPError(.cannotConnect, "TLS cannot be set up: \(error)"))
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls.context, serverHostname: tls.serverName))
                    }
                    try channel.pipeline.syncOperations.addHandler(LinkHandler(connection: bound.value))
                }
            }
        // A literal address needs no resolver, which would block a thread of its own.
        let connecting =
            (try? SocketAddress(ipAddress: host.name, port: host.port)).map { bootstrap.connect(to: $0) }
            ?? bootstrap.connect(host: host.name, port: host.port)
        connecting.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel):
                // The attempt may have been given up while the transport was on its way.
                if self.end != nil { channel.close(promise: nil) }
            case .failure(let error):
                let reason = AMQPError(transport: error).reason
                self.fail(AMQPError(.cannotConnect, "no connection to \(host): \(reason)"))
            }
        }
    }

    private static func tls(
        _ tls: AMQPConfiguration.TLS, host: String
    ) throws -> (context: NIOSSLContext, serverName: String?)? {
        guard case .verify(let caFile, let serverName) = tls else { return nil }
        var settings = TLSConfiguration.makeClientConfiguration()
        settings.minimumTLSVersion = .tlsv12
        settings.certificateVerification = .fullVerification
        if let caFile { settings.trustRoots = .file(caFile) }
        // An address has no server name; NIOSSL then holds the certificate against the peer's address.
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return (try NIOSSLContext(configuration: settings), serverName ?? (isAddress ? nil : host))
    }
}
