/// Reads RFC 4180 text with a header: quoted fields, either line end, byte-order marks wherever an export left them.
struct CSVTable {
    let columns: [String]
    let rows: [[String]]

    init(_ text: String) {
        var records = Self.records(text)
        let header = records.isEmpty ? [] : records.removeFirst()
        columns = header.map(Self.clean)
        rows = records.filter { $0 != [""] }
    }

    /// The trimmed field of a row; nil if there is no such column, or nothing in it.
    func field(_ name: String, of row: [String]) -> String? {
        guard let index = columns.firstIndex(of: name), index < row.count else { return nil }
        let value = Self.clean(row[index])
        return value.isEmpty ? nil : value
    }

    private static func clean(_ field: String) -> String {
        var scalars = Substring(field).unicodeScalars
        func isDirt(_ scalar: Unicode.Scalar) -> Bool {
            scalar.value == 0xFEFF || scalar.properties.isWhitespace
        }
        while let first = scalars.first, isDirt(first) { scalars.removeFirst() }
        while let last = scalars.last, isDirt(last) { scalars.removeLast() }
        return String(scalars)
    }

    private static func records(_ text: String) -> [[String]] {
        var records: [[String]] = []
        var record: [String] = []
        var field = String.UnicodeScalarView()
        var isQuoted = false
        func endField() {
            record.append(String(field))
            field = String.UnicodeScalarView()
        }
        let scalars = Array(text.unicodeScalars)
        var index = 0
        while index < scalars.count {
            let scalar = scalars[index]
            let next = index + 1 < scalars.count ? scalars[index + 1] : nil
            switch scalar {
            case "\"" where isQuoted && next == "\"":
                field.append(scalar)
                index += 1
            case "\"" where isQuoted: isQuoted = false
            case "\"" where field.isEmpty: isQuoted = true
            case "," where !isQuoted: endField()
            case "\r" where !isQuoted && next == "\n": break
            case "\n" where !isQuoted, "\r" where !isQuoted:
                endField()
                records.append(record)
                record = []
            default: field.append(scalar)
            }
            index += 1
        }
        if !field.isEmpty || !record.isEmpty {
            endField()
            records.append(record)
        }
        return records
    }

    /// A field as it must be written.
    static func quoted(_ field: String) -> String {
        guard field.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return field }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }
}
