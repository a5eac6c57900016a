/// A place in CRS84 (WGS 84, longitude first). Never GCJ-02.
public struct Coordinate: Hashable, Sendable, Codable {
    /// Degrees east, −180 … 180.
    public var lon: Double
    /// Degrees north, −90 … 90.
    public var lat: Double

    public init(lon: Double, lat: Double) {
        self.lon = lon
        self.lat = lat
    }

    public var isOnEarth: Bool {
        lon.isFinite && lat.isFinite && abs(lon) <= 180 && abs(lat) <= 90
    }
}

/// A length in metres.
public struct Metres: RawRepresentable, Hashable, Comparable, Sendable, Codable {
    public var rawValue: Double
    public init(rawValue: Double) { self.rawValue = rawValue }
    public init(_ value: Double) { self.rawValue = value }
    public static func < (lhs: Self, rhs: Self) -> Bool { lhs.rawValue < rhs.rawValue }
}
