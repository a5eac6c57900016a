public import Model

/// Distances between places that are at most some tens of kilometres apart, on a sphere: within 0.5 % of the
/// ellipsoid, which is finer than any phone's position.
public enum Geodesy {
    static let metresPerDegree = 111_195.08

    /// Taylor's series to the 14th power: exact to 1e-9 on 0…90°, and Rules need no mathematics library for it.
    static func cosine(degrees: Double) -> Double {
        let x = min(90, abs(degrees)) * .pi / 180
        let square = x * x
        var term = 1.0
        var sum = 1.0
        for n in stride(from: 2.0, through: 14, by: 2) {
            term *= -square / (n * (n - 1))
            sum += term
        }
        return max(0, sum)
    }

    /// Equirectangular distance at the mean latitude.
    public static func distance(_ a: Coordinate, _ b: Coordinate) -> Metres {
        let north = (b.lat - a.lat) * metresPerDegree
        let east = (b.lon - a.lon) * metresPerDegree * cosine(degrees: (a.lat + b.lat) / 2)
        return Metres((north * north + east * east).squareRoot())
    }
}
