public import Model

/// The part of a category that dispatch's rules rest on. Categories are data; a case names the version it was
/// decided by.
public struct CategoryTerms: Hashable, Sendable, Codable {
    public var code: String
    public var version: Int
    /// Categories of one group can describe one problem (an overflowing manhole and a flooded street, say).
    public var group: String
    public var mergeRadius: Metres
    public var mergeWindowMinutes: Int
    /// What a crew must be able to do, all of it.
    public var skills: [String]
    public var clocks: ClockMinutes
    public var stormClocks: ClockMinutes
    /// From which storm level on `stormClocks` count.
    public var stormFrom: StormLevel

    public init(
        code: String, version: Int, group: String, mergeRadius: Metres, mergeWindowMinutes: Int, skills: [String],
        clocks: ClockMinutes, stormClocks: ClockMinutes, stormFrom: StormLevel = .yellow
    ) {
        self.code = code
        self.version = version
        self.group = group
        self.mergeRadius = mergeRadius
        self.mergeWindowMinutes = mergeWindowMinutes
        self.skills = skills
        self.clocks = clocks
        self.stormClocks = stormClocks
        self.stormFrom = stormFrom
    }
}

/// Minutes from a case's opening until somebody must have responded, arrived, resolved it.
public struct ClockMinutes: Hashable, Sendable, Codable {
    public var respond: Int
    public var arrive: Int
    public var resolve: Int

    public init(respond: Int, arrive: Int, resolve: Int) {
        self.respond = respond
        self.arrive = arrive
        self.resolve = resolve
    }
}
