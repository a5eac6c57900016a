import Foundation
import Testing

@testable import ControlCommands

@Suite("The storms that a drill replays")
struct ShippedStormTests {
    /// The files of Norfolk and Boston may be read and not copied: they lie beside the repository, or not at all.
    private static let data = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("shared/data").path
    private static let norfolk = data + "/norfolk/STORM_data_flooded_streets_2010-2016.csv"
    private static let boston = data + "/boston311/Catchbasin.csv"
    private static let areThere = [norfolk, boston].allSatisfy(FileManager.default.fileExists)

    @Test("the shipped storm is the one that its seed makes, and says that it is made up")
    func shipped() throws {
        var maker = StormMaker(seed: 1)
        let storm = try StormFile.load(script: nil, routine: nil, reports: nil)
        #expect(storm.lines == maker.make(reports: 240, duration: 7_200).lines)
        #expect(storm.title.contains("made up"))
    }

    @Test("its first eighty reports, the small storm of a first start, have emergencies and routine work in them")
    func small() throws {
        let lines = try StormFile.load(script: nil, routine: nil, reports: 80).lines
        let always = Set(SampleCategory.all.filter(\.alwaysEmergency).map(\.code))
        let urgent = lines.count { always.contains($0.category) || $0.personAtRisk }
        #expect(lines.count == 80)
        #expect(urgent >= 3)
        #expect(lines.count { $0.category == "gully_blocked" } >= 10)
        // At the first start's speed, 600, no more than ten seconds.
        #expect(lines.last.map { $0.offset < 6_000 } == true)
    }

    @Test(
        "the real storm with its routine load is read whole, where its files are",
        .enabled(if: areThere, "shared/data beside the repository has the files of Norfolk and Boston"))
    func real() throws {
        let storm = try StormFile.load(script: Self.norfolk, routine: Self.boston, reports: nil)
        let flooded = storm.lines.filter { $0.category == "street_flooding" }
        let gullies = storm.lines.filter { $0.category == "gully_blocked" }
        #expect(flooded.count == 1_072 && gullies.count == 405)
        #expect(storm.notes.isEmpty)
        // In either spelling.
        #expect(flooded.count { $0.words.hasPrefix("Flooded underpass, impassable") } == 26)
        #expect(storm.lines.allSatisfy { (113.96...114.14).contains($0.lon) && (22.52...22.58).contains($0.lat) })
        #expect(zip(storm.lines, storm.lines.dropFirst()).allSatisfy { $0.offset <= $1.offset })
        // Routine work goes on during the whole storm.
        #expect(gullies.first?.offset == 0 && gullies.last.map { abs($0.offset - storm.duration) < 1 } == true)
    }
}
