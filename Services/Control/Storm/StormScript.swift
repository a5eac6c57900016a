internal import Model

/// A recorded storm: who says what, where and when.
struct StormScript {
    struct Line: Equatable {
        /// Seconds since the beginning.
        var offset: Double
        /// Degrees, CRS84, in the sample city.
        var lon: Double
        var lat: Double
        var category: String
        var words: String
        var personAtRisk = false
    }

    var title: String
    /// By offset.
    var lines: [Line]
    /// What was left out of the source and why, for the report.
    var notes: [String] = []

    /// Seconds from the first report to the last.
    var duration: Double { lines.last?.offset ?? 0 }

    /// Another script's reports among these.
    func merged(with other: StormScript) -> StormScript {
        StormScript(
            title: "\(title) with \(other.title)", lines: (lines + other.lines).sorted { $0.offset < $1.offset },
            notes: notes + other.notes)
    }

    // MARK: - The project's own format

    static let header = "offset_s,lon,lat,category,person_at_risk,words"

    /// Reads the project's own CSV.
    init(title: String, csv text: String) throws {
        let table = CSVTable(text)
        guard table.columns == Self.header.split(separator: ",").map(String.init) else {
            throw CommandFailure("\(title) is no storm script: its first line must be \(Self.header)")
        }
        self.title = title
        self.lines = try table.rows.enumerated().map { index, row in
            guard let offset = table.field("offset_s", of: row).flatMap(Double.init), offset >= 0, offset.isFinite,
                let lon = table.field("lon", of: row).flatMap(Double.init),
                let lat = table.field("lat", of: row).flatMap(Double.init),
                let category = table.field("category", of: row)
            else { throw CommandFailure("\(title), line \(index + 2): offset_s, lon, lat and category are needed") }
            return Line(
                offset: offset, lon: lon, lat: lat, category: category, words: table.field("words", of: row) ?? "",
                personAtRisk: table.field("person_at_risk", of: row) == "true")
        }.sorted { $0.offset < $1.offset }
    }

    init(title: String, lines: [Line], notes: [String] = []) {
        self.title = title
        self.lines = lines
        self.notes = notes
    }

    var csv: String {
        ([Self.header]
            + lines.map { line in
                "\(line.offset),\(line.lon),\(line.lat),\(line.category),\(line.personAtRisk),"
                    + CSVTable.quoted(line.words)
            })
            .joined(separator: "\n") + "\n"
    }
}

/// Puts places of another city onto the sample city: its box onto ours, with a margin, north up.
struct PlaceMapping {
    private let west: Double
    private let south: Double
    private let width: Double
    private let height: Double

    /// - Parameter places: all places of the source, degrees.
    init?(_ places: [(lon: Double, lat: Double)]) {
        guard let west = places.map(\.lon).min(), let east = places.map(\.lon).max(),
            let south = places.map(\.lat).min(), let north = places.map(\.lat).max()
        else { return nil }
        self.west = west
        self.south = south
        self.width = max(east - west, 1e-9)
        self.height = max(north - south, 1e-9)
    }

    func map(lon: Double, lat: Double) -> (lon: Double, lat: Double) {
        let margin = 0.002
        let spanLon = Double(SampleMap.columns) * SampleMap.gridWidth - 2 * margin
        let spanLat = Double(SampleMap.rows) * SampleMap.gridHeight - 2 * margin
        func rounded(_ value: Double) -> Double { (value * 1e6).rounded() / 1e6 }
        return (
            rounded(SampleMap.west + margin + (lon - west) / width * spanLon),
            rounded(SampleMap.south + margin + (lat - south) / height * spanLat)
        )
    }
}
