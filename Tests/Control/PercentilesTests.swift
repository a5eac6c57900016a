import Testing

@testable import ControlCommands

@Suite("Percentiles of a drill")
struct PercentilesTests {
    @Test("are of the nearest rank")
    func ranks() throws {
        let hundred = try #require(Percentiles((1...100).map(Double.init).shuffled()))
        #expect(hundred.p50 == 50 && hundred.p99 == 99 && hundred.max == 100 && hundred.count == 100)
        let one = try #require(Percentiles([7]))
        #expect(one.p50 == 7 && one.p99 == 7 && one.max == 7)
        let two = try #require(Percentiles([1, 3]))
        #expect(two.p50 == 1 && two.p99 == 3)
    }

    @Test("of nothing there are none")
    func nothing() {
        #expect(Percentiles([]) == nil)
    }
}
