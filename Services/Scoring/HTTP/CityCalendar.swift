/// Months of the city's calendar, as they are written.
enum CityCalendar {
    /// Of the form `YYYY-MM`, from 2000-01 to 2999-12.
    static func isMonth(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 7, bytes[0] == UInt8(ascii: "2"), bytes[4] == UInt8(ascii: "-"),
            (bytes[..<4] + bytes[5...]).allSatisfy({ (0x30...0x39).contains($0) }), let month = Int(text.suffix(2))
        else { return false }
        return (1...12).contains(month)
    }
}
