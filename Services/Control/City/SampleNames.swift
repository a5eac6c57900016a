internal import Model

/// Names of the sample city. Districts and streets bear the names of real ones (Sample/NOTICE.md); everything else is
/// made up, and each name says so.
enum SampleNames {
    static let markZh = "（样例）"
    static let markEn = " (sample)"

    struct Street {
        var code: String
        /// With 街道, as streets.csv has it.
        var zh: String
        var en: String
        /// For logins.
        var slug: String { en.lowercased() }
        var short: String { zh.hasSuffix("街道") ? String(zh.dropLast(2)) : zh }
    }

    struct District {
        var code: String
        var zh: String
        var en: String
        /// South-west, south-east, north-west, north-east.
        var streets: [Street]
        var slug: String { String(en.lowercased().prefix { $0 != " " }) }
        var short: String { String(zh.dropLast()) }
    }

    static let districts: [District] = [
        District(
            code: "440305", zh: "南山区", en: "Nanshan District",
            streets: [
                Street(code: "440305007", zh: "粤海街道", en: "Yuehai"), Street(code: "440305003", zh: "沙河街道", en: "Shahe"),
                Street(code: "440305009", zh: "西丽街道", en: "Xili"), Street(code: "440305008", zh: "桃源街道", en: "Taoyuan"),
            ]),
        District(
            code: "440304", zh: "福田区", en: "Futian District",
            streets: [
                Street(code: "440304005", zh: "沙头街道", en: "Shatou"),
                Street(code: "440304004", zh: "福田街道", en: "Futian"),
                Street(code: "440304006", zh: "香蜜湖街道", en: "Xiangmihu"),
                Street(code: "440304008", zh: "莲花街道", en: "Lianhua"),
            ]),
        District(
            code: "440303", zh: "罗湖区", en: "Luohu District",
            streets: [
                Street(code: "440303001", zh: "桂园街道", en: "Guiyuan"),
                Street(code: "440303005", zh: "南湖街道", en: "Nanhu"),
                Street(code: "440303006", zh: "笋岗街道", en: "Sungang"),
                Street(code: "440303004", zh: "翠竹街道", en: "Cuizhu"),
            ]),
    ]

    struct Special {
        var zh: String
        var en: String
        var tags: [String]
    }

    static let specials = [
        Special(zh: "下穿隧道", en: "underpass", tags: ["underpass"]),
        Special(zh: "步行街", en: "pedestrian street", tags: ["pedestrian"]),
        Special(zh: "小学", en: "primary school", tags: ["school"]),
        Special(zh: "医院", en: "hospital", tags: ["hospital", "pedestrian"]),
        Special(zh: "地铁口", en: "metro entrance", tags: ["metro", "pedestrian"]),
    ]

    private static let prefixes: [(zh: String, en: String)] = [
        ("翠湖", "Cuihu"), ("锦绣", "Jinxiu"), ("碧波", "Bibo"), ("海天", "Haitian"), ("金桂", "Jingui"), ("松涛", "Songtao"),
        ("梧桐", "Wutong"), ("东篱", "Dongli"), ("荷塘", "Hetang"), ("明珠", "Mingzhu"),
    ]

    /// Ten names of each of the six types.
    static func community(ordinal: Int, type: CommunityType) -> (zh: String, en: String) {
        let prefix = prefixes[ordinal / CommunityType.allCases.count % prefixes.count]
        let kind: (zh: String, en: String) =
            switch type {
            case .residential: ("花园", "Gardens")
            case .industrial: ("工业园", "Industrial Park")
            case .commercial: ("商业广场", "Plaza")
            case .mixed: ("综合社区", "Quarter")
            case .publicInstitution: ("文体中心", "Civic Centre")
            case .urbanVillage: ("村", "Village")
            }
        return (prefix.zh + kind.zh + markZh, "\(prefix.en) \(kind.en)" + markEn)
    }

    private static let surnames = ["陈", "李", "张", "黄", "林", "王", "吴", "刘", "郑", "何", "罗", "梁"]
    private static let given = ["建国", "秀英", "志强", "丽华", "伟明", "晓燕", "家豪", "玉兰", "国栋", "慧敏", "俊杰"]

    /// Made-up people: 132 names, then again.
    static func person(_ ordinal: Int) -> String {
        surnames[ordinal % surnames.count] + given[ordinal / surnames.count % given.count] + markZh
    }
}
