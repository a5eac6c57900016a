import FoundationEssentials
import Model
import Rules
import Testing

@Suite("What is here")
struct PlaceIndexTests {
    private static func square(_ minX: Double, _ minY: Double, _ maxX: Double, _ maxY: Double) -> String {
        "[[\(minX),\(minY)],[\(maxX),\(minY)],[\(maxX),\(maxY)],[\(minX),\(maxY)],[\(minX),\(minY)]]"
    }

    private static func place(
        _ code: String, _ level: PlaceLevel, _ geoJSON: String, district: District.ID, tags: Set<String> = []
    ) throws -> PlaceIndex.Place {
        PlaceIndex.Place(
            id: UUID(), level: level, code: code, nameZH: code, nameEN: code, districtID: district, tags: tags,
            version: 1,
            shape: try #require(PlaceShape(geoJSON: geoJSON)))
    }

    private static func polygon(_ rings: String...) -> String {
        #"{"type":"Polygon","coordinates":[\#(rings.joined(separator: ","))]}"#
    }

    @Test("holes, several parts, and what lies outside")
    func shapes() throws {
        let donut = try #require(
            PlaceShape(geoJSON: Self.polygon(Self.square(0, 0, 10, 10), Self.square(4, 4, 6, 6))))
        #expect(donut.contains(Coordinate(lon: 1, lat: 1)))
        #expect(!donut.contains(Coordinate(lon: 5, lat: 5)))
        #expect(!donut.contains(Coordinate(lon: 11, lat: 5)))
        let parts = try #require(
            PlaceShape(
                geoJSON:
                    #"{"type":"MultiPolygon","coordinates":[[\#(Self.square(0, 0, 1, 1))],[\#(Self.square(3, 3, 4, 4))]]}"#
            ))
        #expect(parts.contains(Coordinate(lon: 0.5, lat: 0.5)))
        #expect(parts.contains(Coordinate(lon: 3.5, lat: 3.5)))
        #expect(!parts.contains(Coordinate(lon: 2, lat: 2)))
    }

    @Test(
        "what is no area is refused",
        arguments: [
            "", "{}", "[]", #"{"type":"Point","coordinates":[1,2]}"#, #"{"type":"Polygon","coordinates":[]}"#,
            #"{"type":"Polygon","coordinates":[[[0,0],[1,1]]]}"#,
            #"{"type":"Polygon","coordinates":[[[0,0],[999,1],[1,1]]]}"#,
            #"{"type":"Polygon","coordinates":[[[0],[1],[2]]]}"#,
        ])
    func noArea(text: String) { #expect(PlaceShape(geoJSON: text) == nil) }

    @Test("a point on a border that areas share belongs to exactly one of them")
    func borders() throws {
        let district = District.ID(UUID())
        // Four tiles that meet in the middle, with slanted inner borders.
        let middle = "[5.1,4.9]"
        let tiles = [
            Self.polygon("[[0,0],[5,0],\(middle),[0,5],[0,0]]"), Self.polygon("[[5,0],[10,0],[10,5],\(middle),[5,0]]"),
            Self.polygon("[[10,5],[10,10],[5,10],\(middle),[10,5]]"),
            Self.polygon("[[5,10],[0,10],[0,5],\(middle),[5,10]]"),
        ]
        let shapes = try tiles.map { try #require(PlaceShape(geoJSON: $0)) }
        _ = district
        for step in 1..<1_000 {
            let part = Double(step) / 1_000
            for end in [(5.0, 0.0), (10.0, 5.0), (5.0, 10.0), (0.0, 5.0)] {
                let point = Coordinate(lon: end.0 + (5.1 - end.0) * part, lat: end.1 + (4.9 - end.1) * part)
                #expect(shapes.count { $0.contains(point) } == 1)
            }
        }
    }

    @Test("answers every level, all special places, and the tags of all of them")
    func levels() throws {
        let district = District.ID(UUID())
        let index = PlaceIndex([
            try Self.place("D", .district, Self.polygon(Self.square(0, 0, 10, 10)), district: district),
            try Self.place("S", .street, Self.polygon(Self.square(0, 0, 5, 10)), district: district),
            try Self.place("C", .community, Self.polygon(Self.square(1, 1, 2, 2)), district: district, tags: ["old"]),
            try Self.place(
                "U", .special, Self.polygon(Self.square(1, 1, 3, 3)), district: district, tags: ["underpass"]),
            try Self.place("X", .special, Self.polygon(Self.square(0, 0, 3, 3)), district: district, tags: ["school"]),
        ])
        let inside = try #require(index.location(of: Coordinate(lon: 1.5, lat: 1.5)))
        #expect(inside.district.code == "D" && inside.street?.code == "S" && inside.community?.code == "C")
        #expect(inside.grid == nil)
        #expect(inside.tags == ["old", "underpass", "school"])
        let east = try #require(index.location(of: Coordinate(lon: 9, lat: 9)))
        #expect(east.street == nil && east.specials.isEmpty)
        #expect(index.location(of: Coordinate(lon: 10.5, lat: 1)) == nil)
        #expect(index.location(of: Coordinate(lon: .nan, lat: 1)) == nil)
        #expect(index.location(of: Coordinate(lon: 1e300, lat: -1e300)) == nil)
        #expect(index.place(code: "C")?.level == .community)
        #expect(PlaceIndex([]).location(of: Coordinate(lon: 0, lat: 0)) == nil)
    }

    @Test("the index agrees with looking at every area", arguments: [1 as UInt64, 2, 3])
    func agrees(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let district = District.ID(UUID())
        let places = try (0..<60).map { number in
            let x = Double.random(in: 113.8...114.2, using: &random)
            let y = Double.random(in: 22.4...22.7, using: &random)
            let w = Double.random(in: 0.001...0.1, using: &random)
            return try Self.place(
                "P\(number)", .special, Self.polygon(Self.square(x, y, x + w, y + w / 2)), district: district)
        }
        let whole = try Self.place("D", .district, Self.polygon(Self.square(113, 22, 115, 23)), district: district)
        let index = PlaceIndex([whole] + places)
        for _ in 0..<2_000 {
            let point = Coordinate(
                lon: Double.random(in: 113.7...114.3, using: &random),
                lat: Double.random(in: 22.3...22.8, using: &random))
            let expected = Set(places.filter { $0.shape.contains(point) }.map(\.code))
            #expect(Set(index.location(of: point)?.specials.map(\.code) ?? []) == expected)
        }
    }

    @Test("a community's inner point is inside it, also when its middle is not")
    func innerPoint() throws {
        let horseshoe = try #require(
            PlaceShape(geoJSON: Self.polygon("[[0,0],[9,0],[9,9],[6,9],[6,3],[3,3],[3,9],[0,9],[0,0]]")))
        let point = try #require(horseshoe.innerPoint)
        #expect(horseshoe.contains(point))
    }
}

/// A small generator with a seed, so that a failure can be seen again.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
