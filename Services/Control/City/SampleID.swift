internal import FoundationEssentials

/// The fixed ids of the sample city: version 7 UUIDs of 1 January 2026 whose random bits come from what they name, so
/// that a second seeding finds everything in place.
enum SampleID {
    /// 2026-01-01T00:00:00Z in milliseconds.
    private static let epoch: UInt64 = 1_767_225_600_000

    static func make(_ kind: String, _ name: String) -> UUID {
        // FNV-1a of the name seeds the generator.
        var seed: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(kind)/\(name)".utf8 { seed = (seed ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var generator = SeededGenerator(seed: seed)
        let first = generator.next()
        let second = generator.next()
        func byte(_ value: UInt64, _ shift: UInt64) -> UInt8 { UInt8(truncatingIfNeeded: value >> shift) }
        return UUID(
            uuid: (
                byte(epoch, 40), byte(epoch, 32), byte(epoch, 24), byte(epoch, 16), byte(epoch, 8), byte(epoch, 0),
                0x70 | (byte(first, 0) & 0x0F), byte(first, 8),
                0x80 | (byte(second, 0) & 0x3F), byte(second, 8), byte(second, 16), byte(second, 24),
                byte(second, 32), byte(second, 40), byte(second, 48), byte(second, 56)
            ))
    }
}
