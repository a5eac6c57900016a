public import Model

/// A box in degrees. It narrows a search to what may be near; what is near, the rule measures.
public struct PlaceBox: Hashable, Sendable {
    public var west: Double
    public var south: Double
    public var east: Double
    public var north: Double

    /// Around a circle: no place within `radius` lies outside.
    public init(around place: Coordinate, radius: Metres) {
        let latitude = radius.rawValue / Geodesy.metresPerDegree
        // Towards the poles a degree of longitude shrinks; the floor keeps the box finite.
        let longitude = latitude / max(0.05, Geodesy.cosine(degrees: abs(place.lat) + latitude))
        west = place.lon - longitude
        south = place.lat - latitude
        east = place.lon + longitude
        north = place.lat + latitude
    }

    public mutating func formUnion(_ other: PlaceBox) {
        west = min(west, other.west)
        south = min(south, other.south)
        east = max(east, other.east)
        north = max(north, other.north)
    }
}
