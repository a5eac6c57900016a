internal import ArgumentParser
internal import GISSyncService
internal import Model

/// Which property of a file of areas holds what.
struct AreaOptions: ParsableArguments {
    @Option(help: "The property with the code; 'code' without it.")
    var code: String?

    @Option(help: "The property with the Chinese name; 'name_zh' without it.")
    var nameZh: String?

    @Option(help: "The property with the English name; 'name_en' without it.")
    var nameEn: String?

    @Option(help: "The property with the code of the area around; 'parent' without it.")
    var parent: String?

    @Option(help: "The property with a community's type; 'community_type' without it.")
    var communityType: String?

    @Option(help: "The property with the tags; 'tags' without it.")
    var tags: String?

    var areGiven: Bool { [code, nameZh, nameEn, parent, communityType, tags].contains { $0 != nil } }

    func profile(_ level: PlaceLevel) -> AreaProfile {
        var profile = AreaProfile(level: level)
        if let code { profile.code = code }
        if let nameZh { profile.nameZH = nameZh }
        if let nameEn { profile.nameEN = nameEn }
        if let parent { profile.parent = parent }
        if let communityType { profile.communityType = communityType }
        if let tags { profile.tags = tags }
        return profile
    }
}
