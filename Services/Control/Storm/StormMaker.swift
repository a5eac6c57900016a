/// Makes a storm with the shape of real ones: it rises, peaks and ebbs; most reports come from few spots, again and
/// again; one in eight is urgent; ordinary requests go on meanwhile. The shipped storm.csv is its work.
struct StormMaker {
    private var random: SeededGenerator
    private let map = SampleMap(seed: SampleCity.seed)

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    /// - Parameters:
    ///   - reports: how many, urgent ones and ordinary ones together.
    ///   - duration: seconds.
    mutating func make(reports: Int, duration: Double) -> StormScript {
        let spots = (0..<max(4, reports / 8)).map { _ in place() }
        var lines: [StormScript.Line] = []
        for _ in 0..<reports {
            // The mean of three: reports crowd around the middle.
            let share = (0..<3).reduce(0.0) { sum, _ in sum + Double.random(in: 0...1, using: &random) } / 3
            let offset = (share * duration * 10).rounded() / 10
            lines.append(line(at: offset, spots: spots))
        }
        return StormScript(title: "the shipped storm (made up)", lines: lines.sorted { $0.offset < $1.offset })
    }

    private mutating func line(at offset: Double, spots: [SampleMap.Corner]) -> StormScript.Line {
        let kind = Double.random(in: 0..<1, using: &random)
        let (category, words): (String, [String]) =
            switch kind {
            case ..<0.04: ("cover_missing", ["井盖不见了", "Manhole cover is gone", "路中间的井盖被水冲走"])
            case ..<0.06: ("building_flooding", ["地下车库开始进水", "Water is coming into our basement"])
            case ..<0.07: ("road_collapse", ["路面塌了一个洞", "The road has caved in"])
            case ..<0.12: ("street_flooding", ["积水齐膝，车熄火了", "Knee deep, a car has stalled", "积水无法通行"])
            case ..<0.62: ("street_flooding", ["路边积水", "Water on the road", "下雨后积水不退", "Street is flooded"])
            case ..<0.68: ("sewage_overflow", ["污水井冒水", "Sewage on the pavement"])
            case ..<0.90: ("gully_blocked", ["雨水口被树叶堵住", "Gully is full of leaves", "雨水篦子堵塞"])
            case ..<0.96: ("cover_damaged", ["井盖松动有响声", "Cover rattles"])
            default: ("odour", ["下水道有臭味", "Bad smell from the drain"])
            }
        // Three of four reports come from known spots, a few metres apart.
        let atSpot = Double.random(in: 0..<1, using: &random) < 0.75
        let centre = atSpot ? spots[spotIndex(spots.count)] : place()
        let spread = 0.0003
        func jitter(_ value: Double, _ random: inout SeededGenerator) -> Double {
            ((value + Double.random(in: -spread...spread, using: &random)) * 1e6).rounded() / 1e6
        }
        return StormScript.Line(
            offset: offset, lon: jitter(centre.lon, &random), lat: jitter(centre.lat, &random), category: category,
            words: words[Int.random(in: 0..<words.count, using: &random)],
            personAtRisk: category == "street_flooding" && Double.random(in: 0..<1, using: &random) < 0.01)
    }

    /// The square favours the first spots.
    private mutating func spotIndex(_ count: Int) -> Int {
        let share = Double.random(in: 0..<1, using: &random)
        return min(Int(share * share * Double(count)), count - 1)
    }

    private mutating func place() -> SampleMap.Corner {
        map.place(
            Int.random(in: 0..<SampleMap.columns, using: &random), Int.random(in: 0..<SampleMap.rows, using: &random),
            Double.random(in: 0.05...0.95, using: &random), Double.random(in: 0.05...0.95, using: &random))
    }
}
