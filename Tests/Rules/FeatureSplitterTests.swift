import Rules
import Testing

@Suite("A FeatureCollection is cut into its features")
struct FeatureSplitterTests {
    private func split(_ text: String, piece: Int = .max) throws -> [String] {
        var splitter = FeatureSplitter()
        var features: [String] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            features += try splitter.take(rest.prefix(piece)).map { String(decoding: $0, as: UTF8.self) }
            rest = rest.dropFirst(piece)
        }
        try splitter.finish()
        return features
    }

    private static let document = #"""
        {"type": "FeatureCollection", "about": {"features": [1, 2]}, "name": "features",
         "features": [ {"a": "}]\"{"}, {"b": [1, {"c": "\\"}]} , {"d":"井盖🕳"} ], "after": [{"x": 1}]}
        """#

    @Test("strings, escapes and nesting do not confuse it", arguments: [1, 2, 3, 7, 64, Int.max])
    func anySplitOfTheBytesGivesTheSame(piece: Int) throws {
        #expect(
            try split(Self.document, piece: piece)
                == [#"{"a": "}]\"{"}"#, #"{"b": [1, {"c": "\\"}]}"#, #"{"d":"井盖🕳"}"#])
    }

    @Test("an empty collection has no features")
    func emptyCollection() throws {
        #expect(try split(#"{"type":"FeatureCollection","features":[]}"#) == [])
    }

    @Test("a byte order mark is passed over")
    func byteOrderMark() throws {
        #expect(try split("\u{FEFF}" + #"{"features":[{"a":1}]}"#) == [#"{"a":1}"#])
    }

    @Test(
        "what is no FeatureCollection is refused",
        arguments: ["", "   ", "[]", "null", #"{"type":"Feature"}"#, #"{"features":{"a":[]}}"#, "name,lon,lat\n"])
    func notACollection(text: String) {
        #expect(throws: FeatureSplitter.Problem.notAFeatureCollection) { try split(text) }
    }

    @Test(
        "a document cut short is refused",
        arguments: [#"{"features":["#, #"{"features":[{"a":1"#, #"{"features":[{"a":"]}"#])
    func cutShort(text: String) {
        #expect(throws: FeatureSplitter.Problem.endsEarly) { try split(text) }
    }

    @Test(
        "a document says which coordinates it has, or has CRS84",
        arguments: ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326"])
    func geographic(name: String) throws {
        let crs = #""crs":{"type":"name","properties":{"name":"\#(name)"}}"#
        #expect(try split(#"{"type":"FeatureCollection",\#(crs),"features":[{"a":1}]}"#) == [#"{"a":1}"#])
    }

    @Test("other coordinates are refused before the first feature")
    func foreign() {
        let crs = #""crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::4547"}}"#
        #expect(throws: FeatureSplitter.Problem.foreignCRS) {
            try split(#"{"type":"FeatureCollection",\#(crs),"features":[{"a":1}]}"#)
        }
    }

    @Test("depth and size are bounded")
    func bounds() {
        #expect(throws: FeatureSplitter.Problem.tooDeep(limit: 32)) {
            try split(#"{"features":[{"a":"# + String(repeating: "[", count: 40))
        }
        var small = FeatureSplitter(featureLimit: 8)
        #expect(throws: FeatureSplitter.Problem.featureTooLarge(limit: 8)) {
            _ = try small.take(Array(#"{"features":[{"a":"123456789"}]}"#.utf8))
        }
    }
}
