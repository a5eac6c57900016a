import FoundationEssentials
public import Model

/// An area on the map: polygons with holes, as integers of 10⁻⁷ degrees (1 cm), which makes the test for "inside"
/// exact and keeps a vertex in 8 bytes.
public struct PlaceShape: Sendable, Hashable {
    struct Vertex: Sendable, Hashable {
        var x: Int32
        var y: Int32
    }

    struct Box: Sendable, Hashable {
        var minX = Int32.max
        var minY = Int32.max
        var maxX = Int32.min
        var maxY = Int32.min

        mutating func include(_ vertex: Vertex) {
            minX = min(minX, vertex.x)
            minY = min(minY, vertex.y)
            maxX = max(maxX, vertex.x)
            maxY = max(maxY, vertex.y)
        }

        func contains(_ vertex: Vertex) -> Bool {
            minX <= vertex.x && vertex.x <= maxX && minY <= vertex.y && vertex.y <= maxY
        }
    }

    /// All rings of all polygons. With the even-odd rule holes need no mark: a point in a hole is inside twice.
    let rings: [[Vertex]]
    let box: Box

    init?(rings: [[Vertex]]) {
        let usable = rings.filter { $0.count >= 3 }
        guard !usable.isEmpty else { return nil }
        var box = Box()
        for ring in usable { for vertex in ring { box.include(vertex) } }
        self.rings = usable
        self.box = box
    }

    /// Reads GeoJSON text of a Polygon or MultiPolygon; nil for anything else and for places that are not on Earth.
    public init?(geoJSON text: String) {
        guard let geometry = try? JSONDecoder().decode(AreaGeometry.self, from: Data(text.utf8)) else { return nil }
        var rings: [[Vertex]] = []
        for ring in geometry.rings {
            var vertices: [Vertex] = []
            vertices.reserveCapacity(ring.count)
            for position in ring {
                guard position.count >= 2,
                    let vertex = Vertex(Coordinate(lon: position[0], lat: position[1]))
                else { return nil }
                if vertices.last != vertex { vertices.append(vertex) }
            }
            if vertices.count > 1, vertices.first == vertices.last { vertices.removeLast() }
            rings.append(vertices)
        }
        self.init(rings: rings)
    }

    /// Even-odd rule with half-open edges: where areas share a border, each point of it belongs to exactly one.
    public func contains(_ coordinate: Coordinate) -> Bool {
        guard let vertex = Vertex(coordinate) else { return false }
        return contains(vertex)
    }

    func contains(_ point: Vertex) -> Bool {
        guard box.contains(point) else { return false }
        var isInside = false
        for ring in rings {
            var previous = ring[ring.count - 1]
            for vertex in ring {
                if (vertex.y > point.y) != (previous.y > point.y), Self.isLeft(point, of: vertex, previous) {
                    isInside.toggle()
                }
                previous = vertex
            }
        }
        return isInside
    }

    /// Does the edge cross the height of the point to the right of it? The edge is taken from its lower end whichever
    /// way the ring runs, so that both neighbours of a border compute the same number.
    private static func isLeft(_ point: Vertex, of a: Vertex, _ b: Vertex) -> Bool {
        let (low, high) = a.y < b.y ? (a, b) : (b, a)
        let first = Int128(Int64(high.x) - Int64(low.x)) * Int128(Int64(point.y) - Int64(low.y))
        let second = Int128(Int64(point.x) - Int64(low.x)) * Int128(Int64(high.y) - Int64(low.y))
        return first > second
    }

    /// A point inside, for "somewhere in this community": the middle of the widest stretch at half height.
    public var innerPoint: Coordinate? {
        for step in [32, 16, 48, 8, 24, 40, 56, 1, 63] {
            let y = Int32(Int64(box.minY) + (Int64(box.maxY) - Int64(box.minY)) * Int64(step) / 64)
            var crossings: [Double] = []
            for ring in rings {
                var previous = ring[ring.count - 1]
                for vertex in ring {
                    if (vertex.y > y) != (previous.y > y) {
                        let part = Double(Int64(y) - Int64(previous.y)) / Double(Int64(vertex.y) - Int64(previous.y))
                        crossings.append(Double(previous.x) + part * Double(Int64(vertex.x) - Int64(previous.x)))
                    }
                    previous = vertex
                }
            }
            crossings.sort()
            var best: (width: Double, middle: Double)?
            for index in stride(from: 0, to: crossings.count - crossings.count % 2, by: 2) {
                let width = crossings[index + 1] - crossings[index]
                if width > (best?.width ?? 0) { best = (width, (crossings[index] + crossings[index + 1]) / 2) }
            }
            if let best {
                let vertex = Vertex(x: Int32(best.middle.rounded()), y: y)
                if contains(vertex) { return vertex.coordinate }
            }
        }
        return nil
    }
}

extension PlaceShape.Vertex {
    private static let scale = 1e7

    init?(_ coordinate: Coordinate) {
        guard coordinate.isOnEarth else { return nil }
        self.init(
            x: Int32((coordinate.lon * Self.scale).rounded()), y: Int32((coordinate.lat * Self.scale).rounded()))
    }

    var coordinate: Coordinate {
        Coordinate(lon: Double(x) / Self.scale, lat: Double(y) / Self.scale)
    }
}

/// Polygon or MultiPolygon of RFC 7946.
private struct AreaGeometry: Decodable {
    var rings: [[[Double]]]

    private enum Key: CodingKey { case type, coordinates }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        switch try container.decode(String.self, forKey: .type) {
        case "Polygon":
            self.rings = try container.decode([[[Double]]].self, forKey: .coordinates)
        case "MultiPolygon":
            self.rings = try container.decode([[[[Double]]]].self, forKey: .coordinates).flatMap { $0 }
        default:
            throw DecodingError.dataCorruptedError(
                forKey: .type, in: container, debugDescription: "an area is a Polygon or a MultiPolygon")
        }
    }
}
