public import Testing

/// Fails if one of the plans reads a big table from end to end, or touches far more rows than its statement is after.
///
/// - Parameters:
///   - count: of the statements that ran; all of them must be in the log.
///   - limit: of the rows that one statement may touch in one table.
public func expectGoodPlans(
    _ plans: [LoggedPlan], of count: Int, in city: BigCity, role: String, limit: Int = 2_500,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let own = plans.filter { $0.role == role }
    #expect(own.count >= count * BigCity.runs, "some ran without a word in the log", sourceLocation: sourceLocation)
    let faults = own.faults(big: city.bigTables, limit: limit)
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))", sourceLocation: sourceLocation)
}
