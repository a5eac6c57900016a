public import Model

/// A square of the fixed grid (0.0025°: 278 m north–south, about 250 m east–west in the cities' latitudes) that
/// triage locks. It decides who waits for whom, never what is the same problem.
public struct Cell: Hashable, Comparable, Sendable {
    public var x: Int32
    public var y: Int32

    public init(x: Int32, y: Int32) {
        self.x = x
        self.y = y
    }

    static let size = 0.0025

    public init(of place: Coordinate) {
        self.x = Int32((place.lon / Self.size).rounded(.down))
        self.y = Int32((place.lat / Self.size).rounded(.down))
    }

    /// One number for an index column; different cells have different numbers.
    public var number: Int64 {
        Int64(y) << 32 | Int64(UInt32(bitPattern: x))
    }

    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.number < rhs.number }

    /// Every cell that a circle touches, sorted. Two places no further apart than `radius` always share one, because
    /// each place lies in its own cell.
    public static func touched(by place: Coordinate, radius: Metres) -> [Cell] {
        let box = PlaceBox(around: place, radius: radius)
        let low = Cell(of: Coordinate(lon: box.west, lat: box.south))
        let high = Cell(of: Coordinate(lon: box.east, lat: box.north))
        var cells: [Cell] = []
        for y in low.y...high.y {
            for x in low.x...high.x { cells.append(Cell(x: x, y: y)) }
        }
        return cells.sorted()
    }
}
