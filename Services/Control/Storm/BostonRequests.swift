/// Boston's 311 requests about catch basins of 2015 (johnsliao/bostonservicemap) as routine load: places are mapped onto
/// the sample city, and a year's requests are spread evenly in their order over the storm.
enum BostonRequests {
    static func isOne(_ table: CSVTable) -> Bool {
        ["CASE_ENQUIRY_ID", "OPEN_DT", "TYPE", "LATITUDE", "LONGITUDE"].allSatisfy(table.columns.contains)
    }

    /// - Parameter duration: of the storm, in seconds.
    static func read(_ table: CSVTable, over duration: Double) throws -> StormScript {
        var dropped: [String: Int] = [:]
        var found: [(time: Double, lon: Double, lat: Double)] = []
        for row in table.rows {
            guard let time = table.field("OPEN_DT", of: row).flatMap(WallClock.american) else {
                dropped["no time", default: 0] += 1
                continue
            }
            guard let lon = table.field("LONGITUDE", of: row).flatMap(Double.init),
                let lat = table.field("LATITUDE", of: row).flatMap(Double.init), lon != 0, lat != 0
            else {
                // (0, 0) stands for "not geocoded".
                dropped["no place", default: 0] += 1
                continue
            }
            found.append((time, lon, lat))
        }
        guard let mapping = PlaceMapping(found.map { ($0.lon, $0.lat) }) else {
            throw CommandFailure("the file has no request with time and place")
        }
        found.sort { $0.time < $1.time }
        let step = duration / Double(max(found.count - 1, 1))
        let lines = found.enumerated().map { index, request in
            let place = mapping.map(lon: request.lon, lat: request.lat)
            return StormScript.Line(
                offset: Double(index) * step, lon: place.lon, lat: place.lat, category: "gully_blocked",
                words: "Blocked catch basin")
        }
        return StormScript(
            title: "Boston's catch basins", lines: lines,
            notes: dropped.sorted { $0.key < $1.key }.map { "Boston: \($0.value) rows left out, \($0.key)" })
    }
}
