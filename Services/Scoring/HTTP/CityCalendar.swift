import FoundationEssentials
import Model

/// Months of the city's calendar.
enum CityCalendar {
    /// `2026-07`, the month in which `time` lies in that zone.
    static func month(of time: Timestamp, timeZone: String) -> String {
        let offset = TimeZone(identifier: timeZone)?.secondsFromGMT(
            for: Date(timeIntervalSince1970: time.secondsSince1970))
        let local = time + .seconds(offset ?? 0)
        return String(local.description.prefix(7))
    }

    /// Of the form `YYYY-MM`, from 2000-01 to 2999-12.
    static func isMonth(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 7, bytes[0] == UInt8(ascii: "2"), bytes[4] == UInt8(ascii: "-"),
            (bytes[..<4] + bytes[5...]).allSatisfy({ (0x30...0x39).contains($0) }), let month = Int(text.suffix(2))
        else { return false }
        return (1...12).contains(month)
    }
}
