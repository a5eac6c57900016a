internal import FoundationEssentials
internal import Model

/// Districts, streets, grids, communities and special places on a lattice whose inner corners are moved a little: they
/// tile without gaps, and no two communities overlap.
struct SampleMap {
    struct Area: Encodable {
        var areaId: UUID
        var level: PlaceLevel
        var code: String
        var nameZh: String
        var nameEn: String
        var parentId: UUID?
        var districtId: UUID
        var communityType: CommunityType?
        var tags: [String] = []
        /// GeoJSON of a polygon, CRS84.
        var geometry: String
    }

    /// Degrees, CRS84.
    struct Corner {
        var lon: Double
        var lat: Double
    }

    private(set) var areas: [Area] = []
    /// The lattice's corners, by column and row.
    private let corners: [[Corner]]

    static let west = 113.960
    static let south = 22.520
    /// A grid is 1.5 km wide and 3.3 km high.
    static let gridWidth = 0.015
    static let gridHeight = 0.030
    static let columns = 12
    static let rows = 2

    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        corners = (0...Self.columns).map { column in
            (0...Self.rows).map { row in
                let inner = (1..<Self.columns).contains(column) && (1..<Self.rows).contains(row)
                func jitter() -> Double { inner ? Double.random(in: -0.0015...0.0015, using: &random) : 0 }
                return Corner(
                    lon: Self.west + Double(column) * Self.gridWidth + jitter(),
                    lat: Self.south + Double(row) * Self.gridHeight + jitter())
            }
        }
        for (index, district) in SampleNames.districts.enumerated() { add(district, at: index * 4) }
    }

    /// A district is four grid columns wide and two rows high; a street two columns and one row.
    private mutating func add(_ district: SampleNames.District, at column: Int) {
        let id = SampleID.make("district", district.code)
        areas.append(
            Area(
                areaId: id, level: .district, code: district.code, nameZh: district.zh + SampleNames.markZh,
                nameEn: district.en + SampleNames.markEn, parentId: nil, districtId: id,
                geometry: Self.polygon(outline(columns: column..<(column + 4), rows: 0..<2))))
        for (index, street) in district.streets.enumerated() {
            add(street, in: id, column: column + index % 2 * 2, row: index / 2)
        }
    }

    private mutating func add(_ street: SampleNames.Street, in district: UUID, column: Int, row: Int) {
        let id = SampleID.make("street", street.code)
        areas.append(
            Area(
                areaId: id, level: .street, code: street.code, nameZh: street.zh + SampleNames.markZh,
                nameEn: "\(street.en) Subdistrict" + SampleNames.markEn, parentId: district, districtId: district,
                geometry: Self.polygon(outline(columns: column..<(column + 2), rows: row..<(row + 1)))))
        for number in 1...2 {
            let code = "\(street.code)-G\(number)"
            let grid = SampleID.make("grid", code)
            areas.append(
                Area(
                    areaId: grid, level: .grid, code: code, nameZh: "\(street.short)\(number == 1 ? "一" : "二")网格",
                    nameEn: "\(street.en) grid \(number)", parentId: id, districtId: district,
                    geometry: Self.polygon(
                        outline(columns: (column + number - 1)..<(column + number), rows: row..<(row + 1)))))
            // Two or three communities a grid: sixty in all.
            addCommunities(
                number == 1 ? 2 : 3, in: grid, district: district, gridCode: code, column: column + number - 1, row: row
            )
        }
        addSpecials(in: id, district: district, street: street, column: column, row: row)
    }

    private mutating func addCommunities(
        _ count: Int, in grid: UUID, district: UUID, gridCode: String, column: Int, row: Int
    ) {
        for number in 0..<count {
            let ordinal = areas.count { $0.level == .community }
            let type = CommunityType.allCases[ordinal % CommunityType.allCases.count]
            let name = SampleNames.community(ordinal: ordinal, type: type)
            let code = "\(gridCode)-C\(number + 1)"
            // Roads are left between communities: eight hundredths on each side.
            let low = (Double(number) + 0.08) / Double(count)
            let high = (Double(number) + 0.92) / Double(count)
            areas.append(
                Area(
                    areaId: SampleID.make("community", code), level: .community, code: code, nameZh: name.zh,
                    nameEn: name.en, parentId: grid, districtId: district, communityType: type,
                    geometry: Self.polygon(patch(column, row, across: 0.08...0.92, up: low...high))))
        }
    }

    /// On the road between the street's two grids, where people walk and drive.
    private mutating func addSpecials(
        in street: UUID, district: UUID, street names: SampleNames.Street, column: Int, row: Int
    ) {
        let first = areas.count { $0.level == .special }
        for number in 0..<2 {
            let kind = SampleNames.specials[(first + number) % SampleNames.specials.count]
            let code = "\(names.code)-S\(number + 1)"
            let low = number == 0 ? 0.30 : 0.62
            // The last hundredths of the western grid: a strip some 80 m wide and 200 m long.
            areas.append(
                Area(
                    areaId: SampleID.make("special", code), level: .special, code: code,
                    nameZh: names.short + kind.zh + SampleNames.markZh,
                    nameEn: "\(names.en) \(kind.en)" + SampleNames.markEn,
                    parentId: street, districtId: district, tags: kind.tags,
                    geometry: Self.polygon(patch(column, row, across: 0.94...0.99, up: low...(low + 0.06)))))
        }
    }

    // MARK: - Geometry

    /// The border of a block of grids, anticlockwise.
    private func outline(columns: Range<Int>, rows: Range<Int>) -> [Corner] {
        let bottom = (columns.lowerBound...columns.upperBound).map { corners[$0][rows.lowerBound] }
        let right = (rows.lowerBound...rows.upperBound).map { corners[columns.upperBound][$0] }
        let top = (columns.lowerBound...columns.upperBound).reversed().map { corners[$0][rows.upperBound] }
        let left = (rows.lowerBound...rows.upperBound).reversed().map { corners[columns.lowerBound][$0] }
        return bottom + right.dropFirst() + top.dropFirst() + left.dropFirst().dropLast()
    }

    /// A part of one grid; 0 and 1 are its western and eastern, southern and northern borders.
    private func patch(_ column: Int, _ row: Int, across: ClosedRange<Double>, up: ClosedRange<Double>) -> [Corner] {
        [
            place(column, row, across.lowerBound, up.lowerBound), place(column, row, across.upperBound, up.lowerBound),
            place(column, row, across.upperBound, up.upperBound), place(column, row, across.lowerBound, up.upperBound),
        ]
    }

    /// A point inside a grid.
    func place(_ column: Int, _ row: Int, _ across: Double, _ up: Double) -> Corner {
        func between(_ a: Corner, _ b: Corner, _ share: Double) -> Corner {
            Corner(lon: a.lon + (b.lon - a.lon) * share, lat: a.lat + (b.lat - a.lat) * share)
        }
        return between(
            between(corners[column][row], corners[column + 1][row], across),
            between(corners[column][row + 1], corners[column + 1][row + 1], across), up)
    }

    private static func polygon(_ ring: [Corner]) -> String {
        let closed = ring + ring.prefix(1)
        let points = closed.map { "[\(rounded($0.lon)),\(rounded($0.lat))]" }.joined(separator: ",")
        return #"{"type":"Polygon","coordinates":[[\#(points)]]}"#
    }

    /// Seven places: a centimetre.
    private static func rounded(_ degrees: Double) -> Double { (degrees * 1e7).rounded() / 1e7 }
}
