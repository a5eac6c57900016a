internal import Model

/// The catalogue that a new city begins with. Data, not code: dispatchers change it over the API afterwards.
struct SampleCategory: Encodable {
    var code: String
    var kind: ReportKind
    var categoryGroup: String
    var nameZh: String
    var nameEn: String
    /// 1 to 5.
    var severity: Int
    var emergencyWords: [String] = []
    /// Tags of special places.
    var emergencyPlaces: [String] = []
    var alwaysEmergency = false
    var mergeRadiusM: Int
    var mergeWindowMin: Int
    var skills: [String]
    var respondMin: Int
    var arriveMin: Int
    var resolveMin: Int
    var stormRespondMin: Int
    var stormArriveMin: Int
    var stormResolveMin: Int
    var position: Int

    /// Minutes to respond, arrive, resolve.
    typealias Clocks = (respond: Int, arrive: Int, resolve: Int)

    private init(
        _ code: String, _ kind: ReportKind, group: String, _ nameZh: String, _ nameEn: String, severity: Int,
        words: [String] = [], places: [String] = [], always: Bool = false, merge: (metres: Int, minutes: Int),
        skills: [String], _ clocks: Clocks, storm: Clocks
    ) {
        self.code = code
        self.kind = kind
        self.categoryGroup = group
        self.nameZh = nameZh
        self.nameEn = nameEn
        self.severity = severity
        self.emergencyWords = words
        self.emergencyPlaces = places
        self.alwaysEmergency = always
        self.mergeRadiusM = merge.metres
        self.mergeWindowMin = merge.minutes
        self.skills = skills
        (self.respondMin, self.arriveMin, self.resolveMin) = clocks
        (self.stormRespondMin, self.stormArriveMin, self.stormResolveMin) = storm
        self.position = 0
    }

    static let all: [SampleCategory] = {
        var list = hazards + requests + findings + others
        for index in list.indices { list[index].position = (index + 1) * 10 }
        return list
    }()

    /// What a crew can do.
    static let skills = ["inspection", "dredging", "pumping", "repair", "water_quality"]

    private static let urgent: Clocks = (5, 30, 240)
    private static let urgentInStorm: Clocks = (5, 20, 180)

    private static let hazards = [
        SampleCategory(
            "cover_missing", .hazard, group: "cover", "井盖缺失", "Missing cover", severity: 4, always: true,
            merge: (20, 720), skills: ["repair"], urgent, storm: urgentInStorm),
        SampleCategory(
            "road_collapse", .hazard, group: "collapse", "路面塌陷", "Road collapse", severity: 5, always: true,
            merge: (50, 1440), skills: ["repair"], urgent, storm: urgentInStorm),
        SampleCategory(
            "street_flooding", .hazard, group: "flooding", "道路积水", "Street flooding", severity: 3,
            words: ["齐膝", "齐腰", "没过膝盖", "车辆被淹", "熄火", "无法通行", "knee deep", "waist deep", "stalled", "impassable"],
            places: ["underpass", "pedestrian", "school", "metro", "hospital"], merge: (150, 360), skills: ["pumping"],
            (15, 60, 360), storm: (10, 40, 300)),
        SampleCategory(
            "building_flooding", .hazard, group: "flooding", "地下室或车库进水", "Basement or garage flooding", severity: 4,
            always: true, merge: (80, 360), skills: ["pumping"], urgent, storm: urgentInStorm),
        SampleCategory(
            "sewage_overflow", .hazard, group: "flooding", "污水冒溢", "Sewage overflow", severity: 3,
            words: ["倒灌", "喷涌", "backing up", "gushing"], places: ["school", "hospital", "pedestrian", "metro"],
            merge: (80, 720), skills: ["dredging"], (30, 90, 480), storm: (15, 60, 480)),
        SampleCategory(
            "gas_hazard", .hazard, group: "gas", "井下异味或有害气体", "Gas or fumes from a chamber", severity: 5, always: true,
            merge: (60, 240), skills: ["inspection"], urgent, storm: urgentInStorm),
        SampleCategory(
            "cover_damaged", .hazard, group: "cover", "井盖破损或松动", "Damaged or loose cover", severity: 3,
            words: ["掉落", "翻起", "悬空", "fell off", "wide open", "tipped"], places: ["school", "pedestrian"],
            merge: (20, 1440), skills: ["repair"], (60, 240, 1440), storm: (30, 120, 720)),
        SampleCategory(
            "pipe_damaged", .hazard, group: "damage", "施工破坏管网", "Pipe damaged by works", severity: 3,
            words: ["爆管", "喷涌", "断裂", "burst", "gushing"], merge: (60, 1440), skills: ["repair"],
            (60, 180, 1440), storm: (30, 120, 1440)),
    ]

    private static let requests = [
        SampleCategory(
            "gully_blocked", .request, group: "gully", "雨水口堵塞", "Blocked gully", severity: 2, merge: (30, 2880),
            skills: ["dredging"], (240, 1440, 4320), storm: (60, 240, 1440)),
        SampleCategory(
            "pipe_blocked", .request, group: "pipe", "管道堵塞", "Blocked pipe", severity: 2,
            words: ["倒灌", "backing up"], merge: (60, 2880), skills: ["dredging"], (240, 1440, 4320),
            storm: (120, 480, 2880)),
        SampleCategory(
            "tank_full", .request, group: "tank", "化粪池或隔油池满溢", "Full septic tank or grease trap", severity: 2,
            merge: (40, 2880), skills: ["dredging"], (480, 1440, 4320), storm: (480, 1440, 4320)),
        SampleCategory(
            "permit_advice", .request, group: "service", "排水许可咨询", "Advice on a drainage permit", severity: 1,
            merge: (5, 60), skills: [], (1440, 4320, 10080), storm: (2880, 7200, 14400)),
    ]

    private static let findings = [
        SampleCategory(
            "misconnection", .finding, group: "discharge", "错接乱排", "Misconnection", severity: 2, merge: (40, 10080),
            skills: ["inspection", "water_quality"], (1440, 4320, 20160), storm: (2880, 7200, 20160)),
        SampleCategory(
            "outfall_abnormal", .finding, group: "outfall", "排口异常", "Abnormal outfall", severity: 2,
            words: ["死鱼", "油污", "dead fish", "oil"], merge: (60, 1440), skills: ["inspection", "water_quality"],
            (240, 720, 2880), storm: (240, 720, 2880)),
        SampleCategory(
            "net_missing", .finding, group: "cover", "防坠网缺失或破损", "Missing or torn anti-fall net", severity: 2,
            places: ["school"], merge: (20, 4320), skills: ["repair"], (480, 1440, 4320), storm: (480, 1440, 4320)),
        SampleCategory(
            "pretreatment_fault", .finding, group: "tank", "预处理设施异常", "Faulty pretreatment device", severity: 1,
            merge: (30, 4320), skills: ["inspection"], (1440, 4320, 20160), storm: (2880, 7200, 20160)),
    ]

    private static let others = [
        SampleCategory(
            "illegal_discharge", .complaint, group: "discharge", "违法排污", "Illegal discharge", severity: 3,
            words: ["化学品", "有毒", "汽油", "chemical", "toxic", "petrol"], merge: (60, 720),
            skills: ["inspection", "water_quality"], (120, 360, 2880), storm: (120, 360, 2880)),
        SampleCategory(
            "odour", .complaint, group: "odour", "臭味扰民", "Bad smell", severity: 1, merge: (100, 2880),
            skills: ["inspection"], (480, 1440, 4320), storm: (1440, 2880, 7200)),
        SampleCategory(
            "service_complaint", .complaint, group: "service", "服务投诉", "Complaint about the service", severity: 1,
            merge: (5, 60), skills: [], (480, 1440, 7200), storm: (1440, 2880, 7200)),
        SampleCategory(
            "level_reading", .reading, group: "sensor", "液位监测", "Water level", severity: 1, merge: (10, 60), skills: [],
            (1440, 4320, 10080), storm: (1440, 4320, 10080)),
        SampleCategory(
            "rain_alert", .alert, group: "alert", "暴雨预警", "Rainstorm warning", severity: 1, merge: (500, 360),
            skills: [],
            (60, 1440, 4320), storm: (60, 1440, 4320)),
    ]
}
