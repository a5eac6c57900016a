import FoundationEssentials
import Model
import Testing

@Suite("Times on the wire")
struct TimestampTests {
    @Test(
        "RFC 3339 and PostgreSQL's form are read",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-07-01T08:30:00+08:00", 1_782_865_800_000_000),
            ("2026-07-01 00:30:00+00", 1_782_865_800_000_000), ("2026-07-01T00:30:00.5Z", 1_782_865_800_500_000),
            ("2026-07-01t00:30:00.1234567z", 1_782_865_800_123_456), ("1969-12-31T23:59:59Z", -1_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000), ("2026-06-30T23:59:60Z", 1_782_863_999_000_000),
        ] as [(String, Int64)])
    func reading(text: String, microseconds: Int64) {
        #expect(Timestamp(text)?.microseconds == microseconds)
    }

    @Test(
        "what is no time is refused",
        arguments: [
            "", "2026-07-01", "2026-07-01T00:30:00", "2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z", "2026-07-01T24:00:00Z", "2026-07-01T00:60:00Z", "2026-07-01T00:30:00.Z",
            "2026-07-01T00:30:00Z ", "２０２６-07-01T00:30:00Z", "infinity", "0000-12-31T23:59:59Z",
            "0000-01-01T00:00:00+01:00", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        ])
    func refusing(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test(
        "what is written is read as the same time",
        arguments: [0, 1, -1, 1_782_865_800_123_456, -62_135_596_800_000_000, 253_402_300_799_999_999])
    func roundTrip(microseconds: Int64) {
        let time = Timestamp(microseconds: microseconds)
        #expect(Timestamp(time.description) == time)
    }

    @Test("a moment that no text can say is written as the nearest that one can", arguments: [Int64.min, .max])
    func beyond(microseconds: Int64) {
        let nearest = microseconds < 0 ? Timestamp.writable.lowerBound : Timestamp.writable.upperBound
        #expect(Timestamp(microseconds: microseconds).description == nearest.description)
    }

    @Test("a version 7 id carries its time and sorts by it")
    func version7() {
        var random = SystemRandomNumberGenerator()
        let earlier = Timestamp(microseconds: 1_782_865_800_123_456)
        let first = UUID.version7(at: earlier, random: &random)
        let second = UUID.version7(at: earlier + .milliseconds(1), random: &random)
        #expect(first.version7Time == Timestamp(microseconds: 1_782_865_800_123_000))
        #expect(first.uuidString < second.uuidString)
        #expect(UUID().version7Time == nil)
    }

    @Test("a day and its number are one", arguments: [-719_468, -1, 0, 59, 60, 11_016, 20_635])
    func civilDates(day: Int) {
        #expect(CivilDate(daysSince1970: day).daysSince1970 == day)
    }
}
