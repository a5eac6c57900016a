import FoundationEssentials

/// `2026-11-25 08:42:21.123456+00`, in the proleptic Gregorian calendar as the server counts it.
enum TimestampText {
    private static let secondsFrom1970To2001: Int64 = 978_307_200
    private static let microsecondsPerDay: Int64 = 86_400_000_000
    /// The server's timestamps end in the year 294276; beyond it (and for the distant dates) we say infinity.
    private static let lastYear: Int64 = 294_275

    static func text(of date: Date) -> String {
        if date == .distantFuture { return "infinity" }
        if date == .distantPast { return "-infinity" }
        let seconds = date.timeIntervalSinceReferenceDate
        guard seconds.magnitude < 9e12 else { return seconds < 0 ? "-infinity" : "infinity" }
        let microseconds = Int64((seconds * 1_000_000).rounded()) + secondsFrom1970To2001 * 1_000_000
        var days = microseconds / microsecondsPerDay
        var rest = microseconds % microsecondsPerDay
        if rest < 0 {
            rest += microsecondsPerDay
            days -= 1
        }
        let (year, month, day) = civil(days: days)
        guard year <= lastYear else { return "infinity" }
        guard year >= 1 else { return "-infinity" }
        let second = rest / 1_000_000
        var text: [UInt8] = []
        text.reserveCapacity(32)
        append(year, width: 4, to: &text)
        text.append(UInt8(ascii: "-"))
        append(month, width: 2, to: &text)
        text.append(UInt8(ascii: "-"))
        append(day, width: 2, to: &text)
        text.append(UInt8(ascii: " "))
        append(second / 3600, width: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        append(second / 60 % 60, width: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        append(second % 60, width: 2, to: &text)
        text.append(UInt8(ascii: "."))
        append(rest % 1_000_000, width: 6, to: &text)
        text += Array("+00".utf8)
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads timestamptz, timestamp (taken as UTC) and date (its midnight in UTC).
    static func date(of text: UnsafeBufferPointer<UInt8>) -> Date? {
        if text.elementsEqual("infinity".utf8) { return .distantFuture }
        if text.elementsEqual("-infinity".utf8) { return .distantPast }
        var reader = Reader(text: text)
        guard var year = reader.number(), reader.take("-"), let month = reader.number(), (1...12).contains(month),
            reader.take("-"), let day = reader.number(), (1...31).contains(day)
        else { return nil }
        var microseconds: Int64 = 0
        if reader.take(" "), reader.isDigit {
            guard let hour = reader.number(), reader.take(":"), let minute = reader.number(), reader.take(":"),
                let second = reader.number(), hour <= 24, minute < 60, second <= 60
            else { return nil }
            microseconds = (hour * 3600 + minute * 60 + second) * 1_000_000
            if reader.take(".") {
                guard let fraction = reader.fraction() else { return nil }
                microseconds += fraction
            }
            if let sign = reader.sign() {
                guard let hours = reader.number() else { return nil }
                var offset = hours * 3600
                if reader.take(":") { offset += (reader.number() ?? 0) * 60 }
                if reader.take(":") { offset += reader.number() ?? 0 }
                microseconds -= sign * offset * 1_000_000
            }
            _ = reader.take(" ")
        }
        // Before our era the year 1 BC is the year 0.
        if reader.take("B") {
            guard reader.take("C") else { return nil }
            year = 1 - year
        }
        guard reader.isAtEnd, year < 1_000_000 else { return nil }
        let fromReference = days(year: year, month: month, day: day) * 86_400 - secondsFrom1970To2001
        // Whole seconds and microseconds apart, so that none is lost in the sum.
        let whole = fromReference + microseconds / 1_000_000
        return Date(timeIntervalSinceReferenceDate: Double(whole) + Double(microseconds % 1_000_000) / 1_000_000)
    }

    private static func append(_ value: Int64, width: Int, to text: inout [UInt8]) {
        var digits: [UInt8] = []
        var rest = value
        repeat {
            digits.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        for _ in 0..<max(0, width - digits.count) { text.append(UInt8(ascii: "0")) }
        text += digits.reversed()
    }

    /// Days since 1970-01-01 to a calendar date and back: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (
            yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        )
    }

    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private struct Reader {
        let text: UnsafeBufferPointer<UInt8>
        var index = 0

        init(text: UnsafeBufferPointer<UInt8>) { self.text = text }

        var isAtEnd: Bool { index == text.count }
        var isDigit: Bool { index < text.count && text[index] &- UInt8(ascii: "0") < 10 }

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            guard index < text.count, text[index] == UInt8(ascii: scalar) else { return false }
            index += 1
            return true
        }

        mutating func number() -> Int64? {
            guard isDigit else { return nil }
            var value: Int64 = 0
            while isDigit {
                guard value < 100_000_000 else { return nil }
                value = value * 10 + Int64(text[index] - UInt8(ascii: "0"))
                index += 1
            }
            return value
        }

        /// Up to six digits after the point, as microseconds.
        mutating func fraction() -> Int64? {
            let start = index
            guard var value = number(), index - start <= 6 else { return nil }
            for _ in 0..<(6 - (index - start)) { value *= 10 }
            return value
        }

        mutating func sign() -> Int64? {
            if take("+") { return 1 }
            if take("-") { return -1 }
            return nil
        }
    }
}
