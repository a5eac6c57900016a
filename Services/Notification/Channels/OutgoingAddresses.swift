import FoundationEssentials
import Glibc

/// Which addresses a request to the outside may go to: public ones, and the private ones that an administrator listed.
struct OutgoingAddresses: Sendable {
    enum Answer: Sendable, Hashable {
        case allowed(String)
        case forbidden
        case unknown
        /// No answer in time.
        case late
    }

    /// `host:port` of private addresses that are allowed all the same.
    let listed: Set<String>
    let lookUps: NameLookUps

    init(listed: [String], lookUps: NameLookUps) {
        self.listed = Set(listed)
        self.lookUps = lookUps
    }

    /// The first address that may be connected to. One that is forbidden among several makes all of them forbidden: a
    /// name that answers with both is up to something.
    func resolve(_ host: String, port: Int, within time: Duration) async -> Answer {
        switch await lookUps.addresses(of: host, within: time) {
        case .unknown: return .unknown
        case .late: return .late
        case .found(let first, let all):
            if all.contains(where: Self.isPrivate), !listed.contains("\(host):\(port)") { return .forbidden }
            return .allowed(Self.text(first))
        }
    }

    /// Everything that is not the public internet: IANA's special-purpose registries for IPv4 and IPv6.
    static func isPrivate(_ address: [UInt8]) -> Bool {
        if address.count == 16 {
            // IPv4 in IPv6 (mapped, translated, 6to4) is judged as what it carries.
            if address[..<10].allSatisfy({ $0 == 0 }), address[10] == 0xFF, address[11] == 0xFF {
                return isPrivate(Array(address[12...]))
            }
            if address[..<12] == [0x00, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0] {
                return isPrivate(Array(address[12...]))
            }
            if address[0] == 0x20, address[1] == 0x02 { return isPrivate(Array(address[2..<6])) }
            // Global unicast is 2000::/3, less documentation and Teredo.
            guard address[0] & 0xE0 == 0x20 else { return true }
            return address[..<4] == [0x20, 0x01, 0x0D, 0xB8] || address[..<4] == [0x20, 0x01, 0, 0]
        }
        guard address.count == 4 else { return true }
        switch (address[0], address[1]) {
        case (0, _), (10, _), (127, _): return true
        case (100, 64...127), (169, 254), (172, 16...31), (192, 168), (198, 18...19): return true
        case (192, 0): return address[2] == 0 || address[2] == 2
        case (198, 51): return address[2] == 100
        case (203, 0): return address[2] == 113
        case (224..., _): return true
        default: return false
        }
    }

    private static func text(_ address: [UInt8]) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(address.count == 4 ? AF_INET : AF_INET6, address, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
