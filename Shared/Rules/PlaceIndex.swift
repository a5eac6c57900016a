public import FoundationEssentials
public import Model

/// Answers "what is here?" in memory, in microseconds: the city's areas (`gis.api_place`) in a grid of boxes. A value:
/// a new map is a new index.
public struct PlaceIndex: Sendable {
    public struct Place: Sendable, Hashable {
        public var id: UUID
        public var level: PlaceLevel
        public var code: String
        public var nameZH: String
        public var nameEN: String
        public var districtID: District.ID
        public var tags: Set<String>
        public var version: Int
        public var shape: PlaceShape

        public init(
            id: UUID, level: PlaceLevel, code: String, nameZH: String, nameEN: String, districtID: District.ID,
            tags: Set<String>, version: Int, shape: PlaceShape
        ) {
            self.id = id
            self.level = level
            self.code = code
            self.nameZH = nameZH
            self.nameEN = nameEN
            self.districtID = districtID
            self.tags = tags
            self.version = version
            self.shape = shape
        }
    }

    /// Everything that holds one point.
    public struct Location: Sendable, Hashable {
        public var district: Place
        public var street: Place?
        public var grid: Place?
        public var community: Place?
        public var specials: [Place]

        /// Tags of all of them.
        public var tags: Set<String> {
            var tags = district.tags
            for place in [street, grid, community].compactMap({ $0 }) + specials { tags.formUnion(place.tags) }
            return tags
        }

        /// The highest version among the areas that were looked at.
        public var version: Int {
            ([district] + [street, grid, community].compactMap { $0 } + specials).map(\.version).max() ?? 0
        }
    }

    public let places: [Place]
    private let byCode: [String: Int]
    private let bounds: PlaceShape.Box
    /// Cells a side.
    private let side: Int
    /// The places whose box touches cell `n` are `members[starts[n] ..< starts[n + 1]]`, in the order of `places`.
    private let starts: [UInt32]
    private let members: [UInt32]

    public init(_ places: [Place]) {
        self.places = places
        var byCode: [String: Int] = [:]
        var bounds = PlaceShape.Box()
        for (index, place) in places.enumerated() {
            byCode[place.code] = byCode[place.code] ?? index
            bounds.include(.init(x: place.shape.box.minX, y: place.shape.box.minY))
            bounds.include(.init(x: place.shape.box.maxX, y: place.shape.box.maxY))
        }
        self.byCode = byCode
        self.bounds = bounds
        self.side = max(1, min(256, Int(Double(places.count).squareRoot().rounded(.up)) * 2))
        let cellCount = side * side
        var cells = [[UInt32]](repeating: [], count: places.isEmpty ? 1 : cellCount)
        for (index, place) in places.enumerated() {
            let box = place.shape.box
            let columns =
                Self.cell(
                    box.minX, bounds.minX, bounds.maxX, side)...Self.cell(
                    box.maxX, bounds.minX, bounds.maxX, side)
            let rows =
                Self.cell(
                    box.minY, bounds.minY, bounds.maxY, side)...Self.cell(
                    box.maxY, bounds.minY, bounds.maxY, side)
            for row in rows { for column in columns { cells[row * side + column].append(UInt32(index)) } }
        }
        var starts: [UInt32] = [0]
        var members: [UInt32] = []
        starts.reserveCapacity(cells.count + 1)
        for cell in cells {
            members.append(contentsOf: cell)
            starts.append(UInt32(members.count))
        }
        self.starts = starts
        self.members = members
    }

    public var isEmpty: Bool { places.isEmpty }

    /// What holds the point; nil outside every district. The level below need not lie in the level above on the map:
    /// each is looked for by itself, and the district is the one that the map says, not the parent's.
    public func location(of coordinate: Coordinate) -> Location? {
        guard !places.isEmpty, let point = PlaceShape.Vertex(coordinate), bounds.contains(point) else { return nil }
        let cell =
            Self.cell(point.y, bounds.minY, bounds.maxY, side) * side
            + Self.cell(point.x, bounds.minX, bounds.maxX, side)
        var district: Place?
        var street: Place?
        var grid: Place?
        var community: Place?
        var specials: [Place] = []
        for member in members[Int(starts[cell])..<Int(starts[cell + 1])] {
            let place = places[Int(member)]
            guard place.shape.contains(point) else { continue }
            switch place.level {
            case .district: district = district ?? place
            case .street: street = street ?? place
            case .grid: grid = grid ?? place
            case .community: community = community ?? place
            case .special: specials.append(place)
            }
        }
        guard let district else { return nil }
        return Location(district: district, street: street, grid: grid, community: community, specials: specials)
    }

    public func place(code: String) -> Place? {
        byCode[code].map { places[$0] }
    }

    private static func cell(_ value: Int32, _ low: Int32, _ high: Int32, _ side: Int) -> Int {
        let width = Int64(high) - Int64(low) + 1
        return max(0, min(side - 1, Int((Int64(value) - Int64(low)) * Int64(side) / width)))
    }
}
