/// Cuts a GeoJSON FeatureCollection into its features without building the document in memory: the bytes may come in
/// pieces of any size, and each feature leaves as its own text. It understands just enough JSON for that (strings,
/// escapes, nesting); whether a feature is valid JSON is for its reader to say.
public struct FeatureSplitter: Sendable {
    public enum Problem: Error, Equatable, Sendable {
        /// The document does not begin with an object, or has no `features` array at its top level.
        case notAFeatureCollection
        /// The document ends inside a feature or before its closing bracket.
        case endsEarly
        case featureTooLarge(limit: Int)
        case tooDeep(limit: Int)
        /// The document says that its coordinates are not WGS 84 longitude and latitude.
        case foreignCRS
    }

    private enum Place: Sendable {
        case before, topLevel, features, done
    }

    private var place = Place.before
    private var depth = 0
    private var inString = false
    private var escaped = false
    /// The last string read at the top level: a key, if a colon follows.
    private var word: [UInt8] = []
    private var key: [UInt8] = []
    private var feature: [UInt8] = []
    /// The member `crs` of older GeoJSON, as it stands there; bounded.
    private var crs: [UInt8] = []
    private let featureLimit: Int
    private let depthLimit: Int

    public init(featureLimit: Int = 1 << 20, depthLimit: Int = 32) {
        self.featureLimit = featureLimit
        self.depthLimit = depthLimit
    }

    /// Takes the next bytes and returns the features that they complete, in order.
    public mutating func take(_ bytes: some Sequence<UInt8>) throws(Problem) -> [[UInt8]] {
        var complete: [[UInt8]] = []
        for byte in bytes {
            switch place {
            case .before: try begin(byte)
            case .topLevel: try readTopLevel(byte)
            case .features:
                if let whole = try readFeature(byte) { complete.append(whole) }
            case .done: break
            }
        }
        return complete
    }

    /// Says whether the document was whole.
    public func finish() throws(Problem) {
        switch place {
        case .done: return
        case .features: throw .endsEarly
        case .before, .topLevel: throw .notAFeatureCollection
        }
    }

    private mutating func begin(_ byte: UInt8) throws(Problem) {
        // A byte order mark and white space may stand before the object.
        if [0xEF, 0xBB, 0xBF, 0x20, 0x0A, 0x0D, 0x09].contains(byte) { return }
        guard byte == UInt8(ascii: "{") else { throw .notAFeatureCollection }
        place = .topLevel
        depth = 1
    }

    private mutating func readTopLevel(_ byte: UInt8) throws(Problem) {
        if depth > 1 && key == Array("crs".utf8) && crs.count < 512 { crs.append(byte) }
        if inString {
            readString(byte)
            if inString && depth == 1 && word.count < 64 { word.append(byte) }
            return
        }
        switch byte {
        case UInt8(ascii: "\""):
            inString = true
            word.removeAll(keepingCapacity: true)
        case UInt8(ascii: ":") where depth == 1:
            key = word
        case UInt8(ascii: "[") where depth == 1 && key == Array("features".utf8):
            guard Self.isGeographic(crs) else { throw .foreignCRS }
            place = .features
            depth = 0
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            try descend()
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            if depth == 0 { throw .notAFeatureCollection }
        case UInt8(ascii: ",") where depth == 1:
            key.removeAll(keepingCapacity: true)
        default: break
        }
    }

    /// GeoJSON is CRS84 by definition; a document may still say so, or name EPSG:4326, which such files write in the
    /// same order of axes.
    private static func isGeographic(_ crs: [UInt8]) -> Bool {
        let text = String(decoding: crs, as: UTF8.self)
        return text.isEmpty || text.contains("CRS84") || text.contains("EPSG:4326") || text.contains("EPSG::4326")
    }

    private mutating func readFeature(_ byte: UInt8) throws(Problem) -> [UInt8]? {
        if depth > 0 {
            guard feature.count < featureLimit else { throw .featureTooLarge(limit: featureLimit) }
            feature.append(byte)
        }
        if inString {
            readString(byte)
            return nil
        }
        switch byte {
        case UInt8(ascii: "\""):
            inString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["):
            if depth == 0 { feature = [byte] }
            try descend()
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            guard depth > 0 else {
                place = .done
                return nil
            }
            depth -= 1
            if depth == 0 {
                defer { feature = [] }
                return feature
            }
        default: break
        }
        return nil
    }

    private mutating func readString(_ byte: UInt8) {
        if escaped {
            escaped = false
        } else if byte == UInt8(ascii: "\\") {
            escaped = true
        } else if byte == UInt8(ascii: "\"") {
            inString = false
        }
    }

    private mutating func descend() throws(Problem) {
        depth += 1
        guard depth <= depthLimit else { throw .tooDeep(limit: depthLimit) }
    }
}
