/// Plans that read a big table from end to end, or touch far more rows than their statement is after. Thrown, not
/// recorded: a module that knows the test library could not be built with the release binaries.
public struct BadPlans: Error, CustomStringConvertible {
    public var description: String
}

/// - Parameters:
///   - count: of the statements that ran; all of them must be in the log.
///   - limit: of the rows that one statement may touch in one table.
public func expectGoodPlans(
    _ plans: [LoggedPlan], of count: Int, in city: BigCity, role: String, limit: Int = 2_500
) throws {
    let own = plans.filter { $0.role == role }
    guard own.count >= count * BigCity.runs else { throw BadPlans(description: "some ran without a word in the log") }
    let faults = own.faults(big: city.bigTables, limit: limit)
    guard faults.isEmpty else { throw BadPlans(description: faults.joined(separator: "\n")) }
}
