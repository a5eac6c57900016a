/// How many emergencies an anonymous sender may report before further ones count as *unverified*: they are still
/// cases and still notify, but no crew is claimed for them until somebody confirms or 60 s have passed.
///
/// A budget is a leaky bucket: each report adds 1, and the level sinks steadily. The levels are kept where every
/// instance sees them; this rule judges them.
public struct SenderBudget: Sendable, Hashable {
    /// What one bucket holds and how fast it empties.
    public struct Limit: Sendable, Hashable {
        /// Reports at once.
        public var burst: Double
        /// Reports that leave the bucket in a second.
        public var drainPerSecond: Double

        public init(burst: Double, drainPerSecond: Double) {
            self.burst = burst
            self.drainPerSecond = drainPerSecond
        }
    }

    /// One phone or browser.
    public var device: Limit
    /// One neighbourhood of addresses: a /24 of IPv4 or a /48 of IPv6. Wide, because mobile carriers put thousands of
    /// people behind one address.
    public var prefix: Limit

    public init(
        device: Limit = Limit(burst: 3, drainPerSecond: 1.0 / 600),
        prefix: Limit = Limit(burst: 60, drainPerSecond: 0.1)
    ) {
        self.device = device
        self.prefix = prefix
    }

    public enum Verdict: String, Sendable, Hashable, Codable {
        case signedIn = "signed_in"
        case withinBudget = "within_budget"
        case deviceOverBudget = "device_over_budget"
        case prefixOverBudget = "prefix_over_budget"
        /// An anonymous sender that names no device can't be told from the next one.
        case noDevice = "no_device"

        public var isVerified: Bool { self == .signedIn || self == .withinBudget }

        public var reason: Reason {
            switch self {
            case .signedIn:
                Reason(rawValue, zh: "由已登录人员上报。", en: "Reported by a person who is signed in.")
            case .withinBudget:
                Reason(
                    rawValue, zh: "该设备和地址的应急上报次数在限额内。",
                    en: "The device and its address are within their budget of emergencies.")
            case .deviceOverBudget:
                Reason(
                    rawValue, zh: "该设备短时间内应急上报过多，需核实后才自动派队。",
                    en: "This device reported too many emergencies in a short time: a crew waits for a check.")
            case .prefixOverBudget:
                Reason(
                    rawValue, zh: "该地址段短时间内应急上报过多，需核实后才自动派队。",
                    en:
                        "This range of addresses reported too many emergencies in a short time: a crew waits for a check."
                )
            case .noDevice:
                Reason(
                    rawValue, zh: "匿名上报且没有设备标识，需核实后才自动派队。",
                    en: "Anonymous and without a device: a crew waits for a check.")
            }
        }
    }

    /// - Parameters: levels after this report was added; nil for a bucket that does not apply.
    public func verdict(deviceLevel: Double?, prefixLevel: Double?) -> Verdict {
        guard let deviceLevel else { return .noDevice }
        if deviceLevel > device.burst { return .deviceOverBudget }
        if let prefixLevel, prefixLevel > prefix.burst { return .prefixOverBudget }
        return .withinBudget
    }
}

/// The neighbourhood of an address that shares one budget: `203.0.113.0/24`, `2001:db8:12::/48`. Loopback has none,
/// since only the machine's own programs come from there.
public enum AddressPrefix {
    public static func of(_ address: String) -> String? {
        if address.contains(":") {
            guard let groups = ipv6Groups(address) else { return nil }
            // ::ffff:a.b.c.d is IPv4 in IPv6 clothes.
            if groups[0..<5].allSatisfy({ $0 == 0 }), groups[5] == 0xFFFF {
                let high = groups[6]
                let low = groups[7]
                return of("\(high >> 8).\(high & 0xFF).\(low >> 8).\(low & 0xFF)")
            }
            if groups[0..<7].allSatisfy({ $0 == 0 }), groups[7] <= 1 { return nil }
            return groups[0..<3].map { String($0, radix: 16) }.joined(separator: ":") + "::/48"
        }
        let parts = address.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { UInt8($0) }
        guard parts.count == 4, numbers.count == 4, numbers[0] != 127 else { return nil }
        return "\(numbers[0]).\(numbers[1]).\(numbers[2]).0/24"
    }

    private static func ipv6Groups(_ address: String) -> [UInt16]? {
        let bare = address.split(separator: "%", maxSplits: 1).first.map(String.init) ?? address
        let halves = bare.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return nil }
        func read(_ half: Substring) -> [UInt16]? {
            var groups: [UInt16] = []
            for part in half.split(separator: ":", omittingEmptySubsequences: true) {
                if part.contains(".") {
                    let bytes = part.split(separator: ".").compactMap { UInt8($0) }
                    guard bytes.count == 4 else { return nil }
                    groups.append(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
                    groups.append(UInt16(bytes[2]) << 8 | UInt16(bytes[3]))
                } else {
                    guard part.count <= 4, let value = UInt16(part, radix: 16) else { return nil }
                    groups.append(value)
                }
            }
            return groups
        }
        guard let head = read(halves[0]) else { return nil }
        guard halves.count == 2 else { return head.count == 8 ? head : nil }
        guard let tail = read(halves[1]), head.count + tail.count < 8 else { return nil }
        return head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
    }
}
