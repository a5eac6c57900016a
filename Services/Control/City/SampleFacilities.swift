internal import FoundationEssentials
internal import Model

/// Pipes, manholes, gullies and outfalls of three real networks, put down in three places of the sample city
/// (Sample/NOTICE.md).
struct SampleFacility: Encodable {
    var facilityId: UUID
    var kind: FacilityKind
    var system: PipeSystem
    var source: String
    var sourceId: String
    var code: String
    var districtId: UUID
    /// GeoJSON, CRS84.
    var geometry: String
    var diameterMm: Double?
    var lengthM: Double?
    var upNode: String?
    var downNode: String?
    var upInvertM: Double?
    var downInvertM: Double?
    var material: String?

    /// Each network by name, with the district and the grid that it is put down in.
    private static let places: [String: (district: Int, column: Int, row: Int)] = [
        "kitchener": (0, 1, 0), "regina": (1, 5, 1), "kelowna": (2, 9, 0),
    ]

    /// - Parameter text: pipes.csv; fields have `;` between them and no quotes.
    static func read(_ text: String, on map: SampleMap) throws -> [SampleFacility] {
        try text.split(whereSeparator: \.isNewline).dropFirst().map { line in
            let fields = line.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 12, let kind = FacilityKind(rawValue: fields[1]),
                let system = PipeSystem(rawValue: fields[2]), let place = places[fields[0]]
            else { throw CommandFailure("pipes.csv has a line that is no facility: \(fields.first ?? "")") }
            let centre = map.place(place.column, place.row, 0.5, 0.5)
            let points = fields[11].split(separator: " ").map { Self.point($0, from: centre) }
            let code = "\(fields[0])/\(fields[3])"
            return SampleFacility(
                facilityId: SampleID.make("facility", code), kind: kind, system: system, source: "sample-\(fields[0])",
                sourceId: fields[3], code: code,
                districtId: SampleID.make("district", SampleNames.districts[place.district].code),
                geometry: kind == .pipe
                    ? #"{"type":"LineString","coordinates":[\#(points.joined(separator: ","))]}"#
                    : #"{"type":"Point","coordinates":\#(points.first ?? "[]")}"#,
                diameterMm: Double(fields[4]), lengthM: Double(fields[6]), upNode: word(fields[9]),
                downNode: word(fields[10]), upInvertM: Double(fields[7]), downInvertM: Double(fields[8]),
                material: word(fields[5]))
        }
    }

    private static func word(_ text: String) -> String? { text.isEmpty ? nil : text }

    /// `east,north` in metres from the centre becomes `[lon,lat]`.
    private static func point(_ text: Substring, from centre: SampleMap.Corner) -> String {
        let parts = text.split(separator: ",").compactMap { Double($0) }
        let metresPerDegree = 111_320.0
        // The cosine of 22.55°.
        let lon = centre.lon + (parts.first ?? 0) / (metresPerDegree * 0.923_546)
        let lat = centre.lat + (parts.last ?? 0) / 110_570
        return "[\((lon * 1e7).rounded() / 1e7),\((lat * 1e7).rounded() / 1e7)]"
    }
}
