import FoundationEssentials
import Glibc
public import Model

extension Sources {
    /// The machine's clock and random numbers.
    public static let system = Sources(
        now: { Timestamp.now() },
        randomUUID: { time in
            var generator = SystemRandomNumberGenerator()
            return UUID.version7(at: time, random: &generator)
        },
        randomBytes: { count in
            var generator = SystemRandomNumberGenerator()
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count)
            while bytes.count < count {
                let word = UInt64.random(in: .min ... .max, using: &generator)
                for shift in stride(from: 0, to: 64, by: 8) where bytes.count < count {
                    bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
                }
            }
            return bytes
        })
}

extension Timestamp {
    /// The one place where the machine's clock is read.
    static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}
