internal import Model

/// Local times as exports of other systems write them; only differences between them are used.
enum WallClock {
    /// `2010-09-30 07:32:47.000`, seconds since the epoch as if it were UTC.
    static func iso(_ text: String) -> Double? {
        let numbers = text.split { !$0.isASCII || !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count >= 6 else { return nil }
        return seconds(
            year: numbers[0], month: numbers[1], day: numbers[2], hour: numbers[3], minute: numbers[4],
            second: numbers[5])
    }

    /// `01/02/2015 09:17:37 AM`.
    static func american(_ text: String) -> Double? {
        let numbers = text.split { !$0.isASCII || !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count == 6, (1...12).contains(numbers[3]) else { return nil }
        let isAfternoon = text.uppercased().hasSuffix("PM")
        guard isAfternoon || text.uppercased().hasSuffix("AM") else { return nil }
        return seconds(
            year: numbers[2], month: numbers[0], day: numbers[1], hour: numbers[3] % 12 + (isAfternoon ? 12 : 0),
            minute: numbers[4], second: numbers[5])
    }

    private static func seconds(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) -> Double? {
        guard (1970...2200).contains(year), (1...12).contains(month), (1...31).contains(day), (0...23).contains(hour),
            (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        // Days from civil (Howard Hinnant's algorithm): March is the year's first month.
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return Double(days * 86_400 + hour * 3_600 + minute * 60 + second)
    }
}
