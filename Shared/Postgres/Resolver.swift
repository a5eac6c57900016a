import Glibc

/// Looks host names up on a thread of its own: the system's look-up blocks, and libpq would do it on the reactor's.
enum Resolver {
    struct Address: Sendable, Hashable {
        /// As configured: certificates are checked against it.
        var host: String
        /// Numeric; nil for a Unix socket, which needs none.
        var numeric: String?
    }

    /// Calls `completion` on the reactor's thread, with an empty list if no name could be resolved.
    static func resolve(
        _ hosts: String, on reactor: PostgresReactor, completion: @escaping @Sendable ([Address]) -> Void
    ) {
        let hosts = hosts.split(separator: ",").map { String($0.filter { $0 != " " }) }
        let known = hosts.compactMap(withoutLookUp)
        if known.count == hosts.count { return reactor.execute { completion(known) } }
        let isStarted = DetachedThread.start {
            let addresses = hosts.flatMap(lookUp)
            reactor.execute { completion(addresses) }
        }
        if !isStarted { reactor.execute { completion([]) } }
    }

    /// The same addresses, beginning with another.
    static func rotated(_ addresses: [Address], by count: Int) -> [Address] {
        guard !addresses.isEmpty else { return [] }
        let first = count % addresses.count
        return Array(addresses[first...] + addresses[..<first])
    }

    private static func withoutLookUp(_ host: String) -> Address? {
        if host.hasPrefix("/") || host.hasPrefix("@") { return Address(host: host, numeric: nil) }
        var bytes = in6_addr()
        if inet_pton(AF_INET, host, &bytes) == 1 || inet_pton(AF_INET6, host, &bytes) == 1 {
            return Address(host: host, numeric: host)
        }
        return nil
    }

    private static func lookUp(_ host: String) -> [Address] {
        if let known = withoutLookUp(host) { return [known] }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [Address] = []
        var next = list
        while let info = next?.pointee {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let status = getnameinfo(
                info.ai_addr, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            if status == 0 {
                let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                addresses.append(Address(host: host, numeric: String(decoding: bytes, as: UTF8.self)))
            }
            next = info.ai_next
        }
        return addresses
    }
}
