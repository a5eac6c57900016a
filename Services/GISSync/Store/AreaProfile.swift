public import Model

/// Which property of a source's features holds what of an area. Data, given with the import and kept with its run.
public struct AreaProfile: Codable, Sendable, Hashable {
    public var level: PlaceLevel
    /// Areas are found again by level and code.
    public var code: String
    public var nameZH: String
    public var nameEN: String
    /// The property with the code of the area around.
    public var parent: String
    public var communityType: String
    public var tags: String

    public init(
        level: PlaceLevel, code: String = "code", nameZH: String = "name_zh", nameEN: String = "name_en",
        parent: String = "parent", communityType: String = "community_type", tags: String = "tags"
    ) {
        self.level = level
        self.code = code
        self.nameZH = nameZH
        self.nameEN = nameEN
        self.parent = parent
        self.communityType = communityType
        self.tags = tags
    }

    /// The levels that an area of this level may lie in, the nearest first. A city without grids puts its communities
    /// into streets; a special place lies in whatever it belongs to.
    var parents: [PlaceLevel] {
        switch level {
        case .district: []
        case .street: [.district]
        case .grid: [.street]
        case .community: [.grid, .street]
        case .special: [.community, .grid, .street, .district]
        }
    }

    /// Codes that mean something else: `--district city` is the whole city, and nobody is shown a `sentinel`.
    static let reserved = ["city", "sentinel"]
}
