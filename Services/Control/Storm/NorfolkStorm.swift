/// Street-flooding reports of Norfolk, Virginia, 2010 to 2016 (uva-hydroinformatics/flood_data), mapped onto the sample
/// city. The file is read as it is: a byte-order mark inside the header, one kind in several spellings, `_time` with a
/// date of 1900 (`dt` is the good one), spaces at ends, places reported again and again.
enum NorfolkStorm {
    static func isOne(_ table: CSVTable) -> Bool {
        ["recid", "event", "eventType", "dt", "lon", "lat"].allSatisfy(table.columns.contains)
    }

    /// Pauses between reports longer than this are cut to it: storms follow one another without the years between.
    static let longestPause = 600.0

    static func read(_ table: CSVTable) throws -> StormScript {
        var dropped: [String: Int] = [:]
        var found: [(time: Double, lon: Double, lat: Double, underpass: Bool, place: String)] = []
        for row in table.rows {
            guard let time = table.field("dt", of: row).flatMap(WallClock.iso) else {
                dropped["no time", default: 0] += 1
                continue
            }
            guard let lon = table.field("lon", of: row).flatMap(Double.init),
                let lat = table.field("lat", of: row).flatMap(Double.init), lon != 0, lat != 0
            else {
                dropped["no place", default: 0] += 1
                continue
            }
            let kind = (table.field("eventType", of: row) ?? "").lowercased()
            guard kind.hasPrefix("flooded") else {
                dropped["another kind", default: 0] += 1
                continue
            }
            let place = table.field("location", of: row) ?? ""
            found.append((time, lon, lat, kind.hasSuffix("underpass"), String(place.prefix(120))))
        }
        guard let mapping = PlaceMapping(found.map { ($0.lon, $0.lat) }) else {
            throw CommandFailure("the file has no report with time and place")
        }
        found.sort { $0.time < $1.time }
        var offset = 0.0
        var last = found.first?.time ?? 0
        let lines = found.map { report in
            offset += min(report.time - last, longestPause)
            last = report.time
            let place = mapping.map(lon: report.lon, lat: report.lat)
            let words =
                report.underpass
                ? "Flooded underpass, impassable: \(report.place)" : "Flooded street: \(report.place)"
            return StormScript.Line(
                offset: offset, lon: place.lon, lat: place.lat, category: "street_flooding", words: words)
        }
        return StormScript(
            title: "Norfolk's flooded streets", lines: lines,
            notes: dropped.sorted { $0.key < $1.key }.map { "Norfolk: \($0.value) rows left out, \($0.key)" })
    }
}
